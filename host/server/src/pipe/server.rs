//! The server that the command line speaks with, and the broadcast that is meant.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use clap::Args;
use millrace_media::BroadcastName;
use millrace_moq::certificate::{Hash, from_hex};
use millrace_moq::negotiate::Protocol;
use millrace_moq::{Client, ConnectError, Limits, Session, Trust};
use url::Url;

use super::LAST_WORD;
use super::retry::Problem;

/// The longest answer of `/certificate.sha256` that is read, bytes.
const LONGEST_HASH: u64 = 1024;
/// How long that answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// A server that answers nothing for so long is gone: connections are kept alive in between.
pub(super) const IDLE: Duration = Duration::from_secs(10);

/// Where a broadcast is, and by what its server is trusted.
#[derive(Args, Clone, Debug)]
pub struct ServerArgs {
    /// The server and the broadcast: https://HOST[:PORT]/NAME, or moqt:// for raw QUIC, with `?token=` or `?jwt=` where it asks for one;
    /// http:// first asks the same host and port, over plain HTTP, for the certificate to trust
    #[arg(value_name = "URL")]
    pub url: Url,
    /// The broadcast's name, where the URL's path is not it but the server's own: a relay's root
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Trust whatever certificate the server shows
    #[arg(long, conflicts_with = "certificate_hash")]
    pub insecure: bool,
    /// Trust the certificate of this SHA-256 (64 hexadecimal digits); may be given more than once
    #[arg(long, value_name = "HEX", value_parser = parse_hash)]
    pub certificate_hash: Vec<Hash>,
}

fn parse_hash(text: &str) -> Result<Hash, String> {
    from_hex(text).ok_or_else(|| "expected the SHA-256 of a certificate, 64 hexadecimal digits".into())
}

/// What the arguments come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// What is connected to.
    pub(super) url: Url,
    /// What is published or played.
    pub(super) broadcast: BroadcastName,
}

/// A session with a server.
pub(super) struct Connected {
    pub(super) session: Session,
    pub(super) url: Url,
    /// Its sessions end with it.
    pub(super) client: Client,
}

/// Tells the server that the command is done, so that it need not wait for what does not come.
pub(super) async fn close(client: &Client) {
    // Where it does not hear, it waits.
    let _ = tokio::time::timeout(LAST_WORD, client.close()).await;
}

impl ServerArgs {
    /// The server and the broadcast apart.
    pub(super) fn target(&self) -> anyhow::Result<Target> {
        let mut url = self.url.clone();
        ensure!(
            matches!(url.scheme(), "https" | "http" | "moqt"),
            "{url} cannot be connected to: expected https://HOST[:PORT]/NAME, http:// or moqt://"
        );
        let name = match &self.name {
            Some(name) => name.trim_matches('/').to_owned(),
            None => {
                let name = url.path().trim_matches('/').to_owned();
                ensure!(
                    !name.is_empty(),
                    "{url} names no broadcast: expected one as its path, {url}live/me, or --name NAME"
                );
                url.set_path("/");
                name
            }
        };
        Ok(Target { url, broadcast: BroadcastName::new(&name)? })
    }

    /// Begins a session in one of these protocols. Where the certificate is asked for, that is done anew each time: a server that is
    /// started again has another.
    pub(super) async fn connect(&self, target: &Target, speaking: Vec<Protocol>) -> Result<Connected, Problem> {
        let (mut url, mut trust) = (target.url.clone(), self.trust());
        if url.scheme() == "http" {
            let port = url.port_or_known_default();
            if trust == Trust::System {
                let asked = url.clone();
                // It waits for the network.
                let hash = tokio::task::spawn_blocking(move || fetch_hash(&asked)).await??;
                trust = Trust::Hashes(vec![hash]);
            }
            if url.set_scheme("https").and_then(|()| url.set_port(port)).is_err() {
                return Err(Problem::Final(anyhow!("{url} cannot be made an https:// URL")));
            }
        }
        let limits = Limits { idle_timeout: IDLE, ..Limits::default() };
        let client = Client::new(trust.clone(), limits)?.speaking(speaking);
        let session = client.connect(&url).await.map_err(|error| {
            let is_final = matches!(&error, ConnectError::Url(_) | ConnectError::Unknown(_) | ConnectError::Roots(_));
            let error = explained(error, &trust);
            if is_final { Problem::Final(error) } else { Problem::Lost(error) }
        })?;
        Ok(Connected { session, url, client })
    }

    fn trust(&self) -> Trust {
        if self.insecure {
            Trust::Anyone
        } else if self.certificate_hash.is_empty() {
            Trust::System
        } else {
            Trust::Hashes(self.certificate_hash.clone())
        }
    }
}

/// Says what to do, where that is known.
fn explained(error: ConnectError, trust: &Trust) -> anyhow::Error {
    let is_untrusted = matches!(&error, ConnectError::Handshake(reason) if reason.to_string().contains("certificate"));
    let help = match trust {
        Trust::System if is_untrusted => {
            "nobody vouches for the server's certificate: try http:// with the port of its HTTP, --certificate-hash HEX, or --insecure"
        }
        Trust::Hashes(_) if is_untrusted => "the server shows another certificate than the one of the hash",
        _ => "no session with the server",
    };
    // Its sentence has its causes in it.
    anyhow!("{help}: {error}")
}

/// Asks a server for the hash of its certificate.
fn fetch_hash(server: &Url) -> anyhow::Result<Hash> {
    let mut address = server.clone();
    address.set_path("/certificate.sha256");
    address.set_query(None);
    let config = ureq::Agent::config_builder();
    let config = config.no_delay(true).timeout_global(Some(PATIENCE)).http_status_as_error(false).build();
    let answer = ureq::Agent::new_with_config(config).get(address.as_str()).call();
    let mut answer = answer.with_context(|| format!("{address} cannot be asked for the certificate to trust"))?;
    let mut text = String::new();
    answer.body_mut().as_reader().take(LONGEST_HASH).read_to_string(&mut text)?;
    let text = text.trim();
    if !answer.status().is_success() {
        bail!("{address} answers {}: {text}", answer.status());
    }
    from_hex(text).with_context(|| format!("{address} answers {text:?}, expected a SHA-256 in hexadecimal"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;

    fn args(url: &str, name: Option<&str>) -> ServerArgs {
        let name = name.map(str::to_owned);
        ServerArgs { url: url.parse().unwrap(), name, insecure: false, certificate_hash: Vec::new() }
    }

    fn target(url: &str, name: Option<&str>) -> Result<(String, String), String> {
        let target = args(url, name).target().map_err(|error| format!("{error:#}"))?;
        Ok((target.url.to_string(), target.broadcast.to_string()))
    }

    #[test]
    fn a_path_is_the_broadcast_unless_it_is_named() {
        for (url, name, expected) in [
            ("https://a:8080/live/me/", None, ("https://a:8080/", "live/me")),
            ("http://a/live/me?token=x", None, ("http://a/?token=x", "live/me")),
            ("moqt://a:4443/live", None, ("moqt://a:4443/", "live")),
            ("https://a/anon?jwt=x", Some("live/me"), ("https://a/anon?jwt=x", "live/me")),
        ] {
            assert_eq!(target(url, name), Ok((expected.0.into(), expected.1.into())), "{url}");
        }
        assert!(target("https://a:8080", None).unwrap_err().contains("https://a:8080/live/me"));
        assert!(target("rtmp://a/live/me", None).unwrap_err().contains("expected https://"));
        assert!(target("https://a/live/ä", None).unwrap_err().contains("letters, digits"));
    }

    /// Answers one request with this.
    fn answering(answer: &'static str) -> (Url, std::thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/?token=x", listener.local_addr().unwrap()).parse().unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let len = stream.read(&mut request).unwrap();
            assert!(request[..len].starts_with(b"GET /certificate.sha256 "), "a token stays at home");
            stream.write_all(answer.as_bytes()).unwrap();
        });
        (url, thread)
    }

    #[test]
    fn the_certificate_is_asked_for() {
        let hash = "0f343b0931126a20f133d67c2b018a3b0f343b0931126a20f133d67c2b018a3b";
        for (answer, expected) in [
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 64\r\n\r\n0f343b0931126a20f133d67c2b018a3b0f343b0931126a20f133d67c2b018a3b",
                Ok(from_hex(hash).unwrap()),
            ),
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\nfrom file", Err("answers 404 Not Found: from file")),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Err("expected a SHA-256")),
        ] {
            let (url, thread) = answering(answer);
            match (fetch_hash(&url), expected) {
                (Ok(hash), Ok(expected)) => assert_eq!(hash, expected),
                (Err(error), Err(expected)) => assert!(format!("{error:#}").contains(expected), "{error:#}"),
                (found, expected) => panic!("{found:?}, expected {expected:?}"),
            }
            thread.join().unwrap();
        }
    }
}
