//! The servers that are measured, in processes of their own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context;
use millrace_tests::{PATIENCE, Server, until};
use tempfile::TempDir;

use crate::cpu;

/// No rungs are made, and a publisher may pause for longer than anything here lasts.
pub(crate) const BARE: &str =
    "ladder = []\n[log]\nlevel = \"error\"\n[ingest]\nidle_timeout = \"10m\"\n[plugin_host]\nbundled = false\n";

/// A server at work. Ended when it is dropped.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Program {
    /// `millrace serve` with this configuration, on so many threads.
    pub(crate) fn millrace(threads: usize, configuration: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("millrace.toml");
        fs::write(&config, configuration)?;
        let mut command = Command::new(Server::binary());
        command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(&config);
        command.env("TOKIO_WORKER_THREADS", threads.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().context("the server cannot be started")?;
        let out = BufReader::new(child.stdout.take().context("it is piped")?);
        // Made before anything can fail, so that the child is ended.
        let mut program = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), _folder: folder };
        let (found, address) = mpsc::sync_channel(1);
        // It ends with the child.
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("http://").or_else(|| line.split_once("https://")) {
                    // Only the first is waited for.
                    let _ = found.try_send(rest.split('/').next().unwrap_or_default().to_owned());
                }
            }
        });
        let said = address.recv_timeout(PATIENCE).context("the server has not said where it listens")?;
        program.address = said.parse().with_context(|| format!("the server listens on {said:?}"))?;
        Ok(program)
    }

    /// nginx with one process, for the files of `folder`: everything that makes it quick, and nothing else. With a certificate it speaks
    /// TLS, and HTTP/2 with clients that ask for it.
    pub(crate) fn nginx(files: &Path, certificate: Option<&Certificate>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = folder.path().join("nginx.conf");
        let (protocol, tls) = match certificate {
            None => ("", String::new()),
            Some(certificate) => (" ssl http2", certificate.for_nginx()),
        };
        // Without a master process there is none to outlive it.
        let text = format!(
            "daemon off;\nmaster_process off;\nworker_processes 1;\npid nginx.pid;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n\
             access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;\n\
             keepalive_timeout 600; keepalive_requests 1000000000;\n\
             open_file_cache max=100; default_type video/mp4; server_tokens off;\n\
             client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
             uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n{tls}\
             server {{ listen {address}{protocol}; root {}; }}\n}}\n",
            files.display()
        );
        fs::write(&config, text)?;
        let mut command = Command::new(find("nginx", "nginx-light")?);
        command.arg("-p").arg(folder.path()).arg("-c").arg(&config).args(["-e", "stderr"]);
        let child = command.stdin(Stdio::null()).spawn().context("nginx cannot be started")?;
        let program = Self { child, address, _folder: folder };
        until("nginx answers", || TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok());
        Ok(program)
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The CPU time it has taken so far.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<Duration> {
        cpu::of_process(self.child.id())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A certificate for this machine, of the kind that the server makes for itself (ECDSA, P-256), in files.
#[derive(Debug)]
pub(crate) struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    _folder: TempDir,
}

impl Certificate {
    pub(crate) fn make() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        fs::write(&cert, made.cert.pem())?;
        fs::write(&key, made.signing_key.serialize_pem())?;
        Ok(Self { cert, key, _folder: folder })
    }

    /// A table of the server's configuration.
    pub(crate) fn for_millrace(&self) -> String {
        format!("[http.tls]\ncert = {:?}\nkey = {:?}\n", self.cert, self.key)
    }

    fn for_nginx(&self) -> String {
        let (cert, key) = (self.cert.display(), self.key.display());
        format!(
            "ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;\n\
             ssl_session_cache shared:tls:1m; ssl_session_timeout 10m;\n"
        )
    }
}

/// A program that is installed; servers live in sbin, which is not on everybody's path.
///
/// # Errors
/// Where it is not, with the Debian package that brings it.
pub(crate) fn find(name: &str, package: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    found.with_context(|| format!("there is no {name}: `make setup-bench` installs it, or `apt-get install {package}`"))
}
