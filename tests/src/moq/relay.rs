//! Relays of others.

use std::net::{TcpListener, UdpSocket};

use tempfile::TempDir;

use super::peer::Peer;
use crate::wait::until;

/// A relay on the loopback interface, whose certificate nobody vouches for, and which everybody may use.
#[derive(Debug)]
pub struct Relay {
    peer: Peer,
    port: u16,
    _folder: TempDir,
}

/// How a relay was built.
#[derive(Clone, Copy, Debug)]
enum Build {
    /// Soon.
    Debug,
    /// As its users run it.
    Release,
}

impl Relay {
    /// `moq-relay`, which speaks moq-lite and many drafts.
    pub fn moq_relay() -> Self {
        Self::moq_relay_at(free_port(), Build::Debug)
    }

    /// The same, as its users run it.
    pub fn moq_relay_released() -> Self {
        Self::moq_relay_at(free_port(), Build::Release)
    }

    fn moq_relay_at(port: u16, build: Build) -> Self {
        let listen = format!("127.0.0.1:{port}");
        let listener = ["--listen", &listen, "--listen-tls-generate", "localhost", "--auth-public", "**"];
        // Browsers read the hash of its certificate over HTTP, and are not to have the media over WebSocket from there.
        let arguments = [&listener[..], &["--web-http-listen", &listen, "--web-ws=false"]].concat();
        Self::start("moq-relay", &arguments, build, port, tempfile::tempdir().expect("a folder"))
    }

    /// `moq-relay-ietf`, which speaks draft 18.
    pub fn moq_relay_ietf() -> Self {
        Self::moq_relay_ietf_of(Build::Debug)
    }

    /// The same, as its users run it.
    pub fn moq_relay_ietf_released() -> Self {
        Self::moq_relay_ietf_of(Build::Release)
    }

    fn moq_relay_ietf_of(build: Build) -> Self {
        let port = free_port();
        let folder = tempfile::tempdir().expect("a folder for a certificate");
        let [cert, key, file] = ["cert.pem", "key.pem", "coordinator.json"].map(|name| folder.path().join(name));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]);
        let made = made.expect("a certificate can be made");
        std::fs::write(&cert, made.cert.pem()).expect("it can be written");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("it can be written");
        let listen = format!("127.0.0.1:{port}");
        let [cert, key, file] = [&cert, &key, &file].map(|path| path.to_str().expect("the path is text"));
        let arguments = ["--bind", &listen, "--tls-cert", cert, "--tls-key", key, "--coordinator-file", file];
        Self::start("moq-relay-ietf", &arguments, build, port, folder)
    }

    fn start(name: &str, arguments: &[&str], build: Build, port: u16, folder: TempDir) -> Self {
        let mut peer = match build {
            Build::Debug => Peer::start(name, arguments),
            Build::Release => Peer::start_released(name, arguments),
        };
        // It has the port once nobody else can have it.
        until("the relay listens", || {
            assert!(peer.ended().is_none(), "the relay has ended:\n{}", peer.log());
            UdpSocket::bind(("127.0.0.1", port)).is_err().then_some(())
        });
        Self { peer, port, _folder: folder }
    }

    /// Ends a `moq-relay`, and has another in its place.
    #[must_use]
    pub fn restarted(self) -> Self {
        let Self { peer, port, .. } = self;
        peer.kill();
        Self::moq_relay_at(port, Build::Debug)
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Where a `moq-relay` is for browsers, which find the hash of its certificate there.
    pub fn page(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.peer.id()
    }
}

/// A port that nobody has at the moment, of UDP and of TCP.
fn free_port() -> u16 {
    loop {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("there are ports");
        let address = socket.local_addr().expect("it has an address");
        if TcpListener::bind(address).is_ok() {
            return address.port();
        }
    }
}
