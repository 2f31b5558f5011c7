//! Sessions that are begun from here: to a relay, or to a server from the command line.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use moq_transport::session as ietf;
use quinn::crypto::rustls::{HandshakeData, QuicClientConfig};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use url::Url;
use web_transport_quinn::proto::ConnectRequest;

use crate::adapter::Adapter;
use crate::certificate::{self, Hash};
use crate::negotiate::Protocol;
use crate::quic::Limits;
use crate::session::{Address, Session, Stack, canonical};

/// The port where a URL names none: that of HTTPS, which is WebTransport's too.
const DEFAULT_PORT: u16 = 443;
/// Of a host's addresses so many are tried, one after the other.
const ADDRESSES: usize = 4;

/// Which servers are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those whose certificate the system's authorities vouch for.
    #[default]
    System,
    /// Those that show a certificate of one of these hashes, whoever vouches for it.
    Hashes(Vec<Hash>),
    /// Every one: for tests and for servers on the same machine.
    Anyone,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is of another kind.
    #[error(
        "{0} cannot be connected to: expected https://HOST[:PORT]/PATH (WebTransport) or moqt://HOST[:PORT]/PATH (QUIC)"
    )]
    Url(Url),
    /// The host's name has no address.
    #[error("{host} has no address: {reason}")]
    Lookup {
        /// The host.
        host: String,
        /// What the system says.
        reason: String,
    },
    /// No socket could be opened.
    #[error("no socket can be opened: {0}")]
    Socket(std::io::Error),
    /// The system's authorities cannot be read.
    #[error("the system's certificates cannot be read: {0}")]
    Roots(String),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The server is not to be connected to in this way.
    #[error(transparent)]
    Connect(#[from] quinn::ConnectError),
    /// The QUIC handshake failed.
    #[error("the handshake failed: {0}")]
    Handshake(#[from] quinn::ConnectionError),
    /// The server refused the WebTransport request.
    #[error("the server refused: {0}")]
    Refused(#[from] web_transport_quinn::ClientError),
    /// The server chose a version that was not offered.
    #[error("the server speaks {0:?}, which is not known here")]
    Unknown(Option<String>),
    /// The session's SETUP failed.
    #[error("the session's SETUP failed: {0}")]
    Setup(#[from] ietf::SessionError),
    /// Setting up took too long.
    #[error("the server has not answered in time")]
    Late,
}

/// Begins sessions. Those that it has begun end when it is dropped.
#[derive(Debug)]
pub struct Client {
    endpoint: quinn::Endpoint,
    trust: Trust,
    limits: Limits,
    protocols: Vec<Protocol>,
}

impl Client {
    /// A client that trusts these servers and knows every protocol. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// Where no socket can be opened.
    pub fn new(trust: Trust, limits: Limits) -> Result<Self, ConnectError> {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let endpoint = quinn::Endpoint::client(any)
            // Where there is no IPv6.
            .or_else(|_| quinn::Endpoint::client(SocketAddr::from(([0, 0, 0, 0], 0))))
            .map_err(ConnectError::Socket)?;
        Ok(Self { endpoint, trust, limits, protocols: Protocol::all().collect() })
    }

    /// The same, which speaks these protocols alone.
    #[must_use]
    pub fn speaking(self, protocols: Vec<Protocol>) -> Self {
        Self { protocols, ..self }
    }

    /// Connects to `https://…`, by WebTransport, or `moqt://…`, by raw QUIC.
    ///
    /// # Errors
    /// Where that does not come about.
    pub async fn connect(&self, url: &Url) -> Result<Session, ConnectError> {
        let session = tokio::time::timeout(self.limits.setup_timeout, self.set_up(url));
        session.await.map_err(|_| ConnectError::Late)?
    }

    /// Closes all its sessions. Waits until the servers have been told.
    pub async fn close(&self) {
        self.endpoint.close(0u32.into(), b"the client is done");
        self.endpoint.wait_idle().await;
    }

    async fn set_up(&self, url: &Url) -> Result<Session, ConnectError> {
        let is_raw = match url.scheme() {
            "https" => false,
            "moqt" => true,
            _ => return Err(ConnectError::Url(url.clone())),
        };
        let (remotes, host) = self.look_up(url).await?;
        let connection = self.first(&remotes, &host, self.config(is_raw)?).await?;
        let remote = connection.remote_address();
        let transport = if is_raw {
            web_transport_quinn::Session::raw(connection)
        } else {
            let names = self.protocols.iter().map(|protocol| protocol.name().to_owned());
            let request = names.fold(ConnectRequest::new(url.clone()), ConnectRequest::with_protocol);
            web_transport_quinn::Session::connect(connection, request).await?
        };
        let chosen = transport.protocol().map(str::to_owned).or_else(|| alpn(&transport));
        // Which stack speaks it is for who offers it to say.
        let protocol = self.protocols.iter().find(|offered| Some(offered.name()) == chosen.as_deref()).copied();
        let protocol = protocol.ok_or(ConnectError::Unknown(chosen))?;
        let stack = match protocol {
            Protocol::Net(_) => Stack::Net(transport.clone()),
            Protocol::Transport => {
                let kind = if is_raw { ietf::Transport::RawQuic } else { ietf::Transport::WebTransport };
                let adapter = Adapter::new(transport.clone(), protocol.name(), self.limits.patience);
                let adapted = ietf::transport::Session::new(adapter, url.clone());
                let (session, publisher, subscriber) = ietf::Session::connect(adapted, None, kind).await?;
                Stack::Transport { session: Box::new(session), publisher, subscriber }
            }
        };
        let authority = (!is_raw).then(|| url.authority().to_owned());
        let (remote, address) = (canonical(remote), Address::of(url));
        Ok(Session { remote, address, protocol, authority, origin: None, stack, transport })
    }

    /// A connection with the first of a host's addresses that answers.
    async fn first(
        &self,
        remotes: &[SocketAddr],
        host: &str,
        config: quinn::ClientConfig,
    ) -> Result<quinn::Connection, ConnectError> {
        let mut last = None;
        let share = self.limits.setup_timeout / remotes.len().max(1) as u32;
        for remote in remotes {
            let connecting = self.endpoint.connect_with(config.clone(), *remote, host);
            let connecting = async { Ok::<_, ConnectError>(connecting?.await?) };
            match tokio::time::timeout(share, connecting).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => last = Some(error),
                Err(_) => last = Some(ConnectError::Late),
            }
        }
        Err(last.unwrap_or(ConnectError::Late))
    }

    /// A host's addresses, the first few of them, and its name.
    async fn look_up(&self, url: &Url) -> Result<(Vec<SocketAddr>, String), ConnectError> {
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| ConnectError::Url(url.clone()))?;
        // An IPv6 address stands in brackets, there and nowhere else.
        let host = host.trim_matches(['[', ']']).to_owned();
        let found = tokio::net::lookup_host((host.as_str(), url.port().unwrap_or(DEFAULT_PORT))).await;
        let unknown = |reason| ConnectError::Lookup { host: host.clone(), reason };
        let is_v6 = self.endpoint.local_addr().map_err(ConnectError::Socket)?.is_ipv6();
        let found = found.map_err(|error| unknown(error.to_string()))?;
        let remotes: Vec<SocketAddr> = found
            .map(|remote| match remote {
                // An IPv6 socket reaches IPv4 by mapped addresses (RFC 4291, 2.5.5.2).
                SocketAddr::V4(v4) if is_v6 => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
                other => other,
            })
            .take(ADDRESSES)
            .collect();
        if remotes.is_empty() {
            return Err(unknown("the name is known, and nothing more".into()));
        }
        Ok((remotes, host))
    }

    fn config(&self, is_raw: bool) -> Result<quinn::ClientConfig, ConnectError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?;
        let mut tls = match &self.trust {
            Trust::System => {
                let found = rustls_native_certs::load_native_certs();
                let mut roots = RootCertStore::empty();
                let (taken, _) = roots.add_parsable_certificates(found.certs);
                if taken == 0 {
                    let reasons: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
                    return Err(ConnectError::Roots(format!("none was found: {}", reasons.join("; "))));
                }
                let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
                let verifier = verifier.map_err(|error| ConnectError::Roots(error.to_string()))?;
                builder.with_webpki_verifier(verifier).with_no_client_auth()
            }
            Trust::Hashes(hashes) => Known::verify(builder, Some(hashes.clone()), provider),
            Trust::Anyone => Known::verify(builder, None, provider),
        };
        tls.alpn_protocols = if is_raw {
            self.protocols.iter().map(|protocol| protocol.name().as_bytes().to_vec()).collect()
        } else {
            vec![web_transport_quinn::ALPN.as_bytes().to_vec()]
        };
        let crypto = QuicClientConfig::try_from(tls).expect("TLS 1.3 has the initial cipher suite");
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(self.limits.transport()));
        Ok(config)
    }
}

fn alpn(session: &web_transport_quinn::Session) -> Option<String> {
    let data = session.handshake_data()?.downcast::<HandshakeData>().ok()?;
    String::from_utf8(data.protocol?).ok()
}

/// Takes certificates by their hash, or any; the handshake's signature is checked all the same.
#[derive(Debug)]
struct Known {
    hashes: Option<Vec<Hash>>,
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl Known {
    fn verify(
        builder: rustls::ConfigBuilder<rustls::ClientConfig, rustls::WantsVerifier>,
        hashes: Option<Vec<Hash>>,
        provider: Arc<rustls::crypto::CryptoProvider>,
    ) -> rustls::ClientConfig {
        let verifier = Arc::new(Self { hashes, provider });
        builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
    }
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.hashes {
            Some(known) if !known.contains(&certificate::hash(certificate)) => {
                Err(rustls::CertificateError::UnknownIssuer.into())
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
