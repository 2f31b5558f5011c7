//! A client that can say anything: a WebTransport session, and the messages of draft 18 as bytes.

use millrace_tests::{PATIENCE, Server};
use moq_transport::coding::{Encode, KeyValuePairs, TrackNamespace};
use moq_transport::message::{Message, Subscribe};
use moq_transport::setup::Setup;
use tokio::time::timeout;
use web_transport_quinn::proto::ConnectRequest;
use web_transport_quinn::{Client, ClientBuilder, RecvStream, SendStream, Session};

/// The name of draft 18.
pub(super) const DRAFT_18: &str = "moqt-18";

/// A session in which nothing has been said yet.
pub(super) struct Raw {
    pub(super) session: Session,
    // Its sockets close with it.
    _client: Client,
}

impl Raw {
    /// Connects, and offers a protocol.
    pub(super) async fn connect(server: &Server, protocol: &str) -> Result<Self, web_transport_quinn::ClientError> {
        let client = ClientBuilder::new().dangerous().with_no_certificate_verification()?;
        let url: url::Url = server.moq().parse().expect("the server's address is a URL");
        let session = client.connect(ConnectRequest::new(url).with_protocol(protocol)).await?;
        Ok(Self { session, _client: client })
    }

    /// Connects, and sets a session of draft 18 up. The control stream has to stay open.
    pub(super) async fn set_up(server: &Server) -> (Self, SendStream, RecvStream) {
        let raw = Self::connect(server, DRAFT_18).await.expect("it is taken in");
        let mut control = raw.session.open_uni().await.expect("a stream can be opened");
        control.write_all(&setup()).await.expect("it is taken");
        let answer = raw.session.accept_uni().await.expect("the server sets up, too");
        (raw, control, answer)
    }

    /// Waits until the server has closed the session.
    pub(super) async fn is_closed(&self, why: &str) {
        let closed = timeout(PATIENCE, self.session.closed()).await;
        println!("{why}: {}", closed.unwrap_or_else(|_| panic!("{why}: the session is still open")));
    }
}

/// SETUP without options.
pub(super) fn setup() -> Vec<u8> {
    encoded(&Setup { params: KeyValuePairs::default() })
}

/// SUBSCRIBE to a track. The requests of a client have even numbers.
pub(super) fn subscribe(number: u64, broadcast: &str, track: &str) -> Vec<u8> {
    subscribe_with(KeyValuePairs::default(), number, broadcast, track)
}

/// The same, for a track that may come within so many milliseconds.
pub(super) fn subscribe_and_wait(wait: u64, number: u64, broadcast: &str, track: &str) -> Vec<u8> {
    let mut params = KeyValuePairs::default();
    params.set_rendezvous_timeout(wait);
    subscribe_with(params, number, broadcast, track)
}

fn subscribe_with(params: KeyValuePairs, number: u64, broadcast: &str, track: &str) -> Vec<u8> {
    encoded(&Message::Subscribe(Subscribe {
        id: number * 2,
        track_namespace: TrackNamespace::from_utf8_path(broadcast),
        track_name: track.into(),
        params,
    }))
}

/// The first number of a message, which says what it is.
pub(super) async fn kind(answer: &mut RecvStream) -> Option<u64> {
    let mut first = [0; 1];
    answer.read_exact(&mut first).await.ok()?;
    // Those that answer a request are below 64, and one byte long.
    Some(first[0].into())
}

fn encoded(message: &impl Encode) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes).expect("it can be encoded");
    bytes
}
