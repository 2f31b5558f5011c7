//! The QUIC endpoint that all sessions come in by: WebTransport (HTTP/3) and raw QUIC on one port.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use moq_transport::session as ietf;
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use web_transport_quinn::http::StatusCode;
use web_transport_quinn::proto::ConnectResponse;

use crate::adapter::Adapter;
use crate::certificate::Certificates;
use crate::negotiate::{self, Protocol};
use crate::quic::Limits;
use crate::session::{Address, Session, Stack, canonical};

/// What a connection is closed with when there are too many (no code of MoQ Transport says so: it is not one yet).
const BUSY: &str = "there are as many connections as there may be";

/// How long a client that is refused has to read why.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Why a connection did not become a session.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The QUIC handshake failed.
    #[error("the handshake failed: {0}")]
    Handshake(#[from] quinn::ConnectionError),
    /// The WebTransport request cannot be read, or its answer not be sent.
    #[error("the WebTransport request failed: {0}")]
    Request(#[from] web_transport_quinn::ServerError),
    /// The client knows no version that is known here. It was told so (406).
    #[error("nothing that the client offers is known here: {offered:?}")]
    Unknown {
        /// What it offered.
        offered: Vec<String>,
    },
    /// Setting up took too long.
    #[error("the session was not set up in time")]
    Late,
    /// The session's SETUP failed.
    #[error("the session's SETUP failed: {0}")]
    Setup(#[from] ietf::SessionError),
    /// The session has one role only, where the library gives both.
    #[error("the session lacks a role")]
    Roles,
    /// There are as many connections as there may be.
    #[error("{BUSY}")]
    Busy,
}

/// See the [module](self). When it is dropped, its connections are closed.
#[derive(Debug)]
pub struct Endpoint {
    endpoint: quinn::Endpoint,
    limits: Limits,
    places: Arc<Semaphore>,
}

impl Endpoint {
    /// Listens on an address. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// Where it cannot be bound.
    pub fn bind(address: SocketAddr, certificates: &Certificates, limits: Limits) -> io::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider knows TLS 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificates.clone()));
        let webtransport = web_transport_quinn::ALPN.as_bytes().to_vec();
        tls.alpn_protocols =
            [webtransport].into_iter().chain(Protocol::served().map(|known| known.name().into())).collect();
        let crypto = QuicServerConfig::try_from(tls).expect("TLS 1.3 has the initial cipher suite");
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        config.transport_config(Arc::new(limits.transport()));
        let places = Arc::new(Semaphore::new(limits.max_connections));
        Ok(Self { endpoint: quinn::Endpoint::server(config, address)?, limits, places })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// The next connection, to be made a session; none once the endpoint is closed. When half of the places are taken, clients first
    /// have to show that their address is theirs (RFC 9000, 8.1.2), so that nobody fills the rest with addresses of others.
    pub async fn accept(&self) -> Option<Incoming> {
        loop {
            let connection = self.endpoint.accept().await?;
            let are_few = self.places.available_permits() <= self.limits.max_connections / 2;
            if are_few && !connection.remote_address_validated() {
                // It has not been asked to before, so that it may be now.
                let _ = connection.retry();
                continue;
            }
            let place = self.places.clone().try_acquire_owned().ok();
            return Some(Incoming { connection, limits: self.limits, place });
        }
    }

    /// Closes all its connections, and takes no more. Waits until they have been told.
    pub async fn close(&self) {
        self.endpoint.close(0u32.into(), b"the server stops");
        self.endpoint.wait_idle().await;
    }
}

/// A connection that has begun.
#[derive(Debug)]
pub struct Incoming {
    connection: quinn::Incoming,
    limits: Limits,
    place: Option<OwnedSemaphorePermit>,
}

/// One of the connections that there may be, until it is dropped.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "it is held")] OwnedSemaphorePermit);

impl Incoming {
    /// The other side.
    pub fn remote(&self) -> SocketAddr {
        canonical(self.connection.remote_address())
    }

    /// Makes it a session, for as long as the place that comes with it is held. A client that knows no version that is known here is
    /// answered 406.
    ///
    /// # Errors
    /// Where that does not come about.
    pub async fn session(self) -> Result<(Session, Held), AcceptError> {
        let Some(place) = self.place else {
            self.connection.refuse();
            return Err(AcceptError::Busy);
        };
        let (connection, limits) = (self.connection, self.limits);
        let session = tokio::time::timeout(limits.setup_timeout, set_up(connection, limits)).await;
        Ok((session.map_err(|_| AcceptError::Late)??, Held(place)))
    }
}

async fn set_up(incoming: quinn::Incoming, limits: Limits) -> Result<Session, AcceptError> {
    let connection = incoming.await?;
    let remote = canonical(connection.remote_address());
    let alpn = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok()?.protocol);
    let alpn = alpn.as_deref().and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
    let (protocol, address, authority, origin, transport) = if alpn == web_transport_quinn::ALPN {
        let request = web_transport_quinn::Request::accept(connection).await?;
        let Some(protocol) = negotiate::choose(request.protocols.iter().map(String::as_str)) else {
            let (offered, connection) = (request.protocols.clone(), request.conn().clone());
            request.reject(StatusCode::NOT_ACCEPTABLE).await?;
            // Closed at once, the connection would take the answer with it.
            let _ = tokio::time::timeout(LAST_WORD, connection.closed()).await;
            return Err(AcceptError::Unknown { offered });
        };
        let address = Address::of(&request.url);
        let authority = Some(request.url.authority().to_owned());
        // One that is not text is somebody's all the same.
        let origin =
            request.headers.get("origin").map(|origin| String::from_utf8_lossy(origin.as_bytes()).into_owned());
        let response = ConnectResponse::OK.with_protocol(protocol.name());
        (protocol, address, authority, origin, request.respond(response).await?)
    } else {
        let protocol = Protocol::of(alpn).ok_or_else(|| AcceptError::Unknown { offered: vec![alpn.to_owned()] })?;
        (protocol, Address::default(), None, None, web_transport_quinn::Session::raw(connection))
    };
    let (address, stack) = match protocol {
        Protocol::Net(_) => (address, Stack::Net(transport.clone())),
        Protocol::Transport => accept_transport(transport.clone(), address, protocol, limits).await?,
    };
    Ok(Session { remote, address, protocol, authority, origin, stack, transport })
}

async fn accept_transport(
    transport: web_transport_quinn::Session,
    address: Address,
    protocol: Protocol,
    limits: Limits,
) -> Result<(Address, Stack), AcceptError> {
    let is_raw = transport.request().is_none();
    let kind = if is_raw { ietf::Transport::RawQuic } else { ietf::Transport::WebTransport };
    // The path alone is looked at, and a token has no business in it.
    let url = format!("moqt://localhost/{}", address.path).parse().unwrap_or_else(|_| nowhere());
    let adapter = Adapter::new(transport, protocol.name(), limits.patience);
    let transport = ietf::transport::Session::new(adapter, url);
    let (session, publisher, subscriber) = ietf::Session::accept(transport, None, kind).await?;
    let (Some(publisher), Some(subscriber)) = (publisher, subscriber) else { return Err(AcceptError::Roles) };
    // Over raw QUIC it stands in SETUP.
    let path = session.connection_path().map(|path| Address::of(&nowhere().join(path).unwrap_or_else(|_| nowhere())));
    let address = if is_raw { path.unwrap_or_default() } else { address };
    Ok((address, Stack::Transport { session: Box::new(session), publisher, subscriber }))
}

fn nowhere() -> url::Url {
    url::Url::parse("moqt://localhost").expect("a fixed URL")
}
