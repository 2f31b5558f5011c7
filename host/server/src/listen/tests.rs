//! Listeners with clients that behave, and with clients that do not. Time passes by being told to the table.

mod limits;
mod readers;
mod silence;
mod streams;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::table::{Limits, Table};
use super::{accept, serve};

const LIMITS: Limits = Limits { patience: Duration::from_secs(30), connections: 0, connections_per_address: 0 };
/// Of `/large`, in pieces of `PIECE`.
const LARGE: usize = 8 << 20;
const PIECE: usize = 64 << 10;
/// How long a condition is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A listener whose table is swept by the test.
struct Stage {
    table: Arc<Table>,
    address: SocketAddr,
    begun: Instant,
    _stopping: watch::Sender<bool>,
    _accepting: JoinSet<()>,
}

impl Stage {
    async fn new(limits: Limits) -> Self {
        Self::with(limits, None).await
    }

    async fn with(limits: Limits, tls: Option<TlsAcceptor>) -> Self {
        let app = Router::new()
            .route("/small", get(|| async { "small" }))
            .route("/piece", get(|| async { Body::from(vec![7; PIECE]) }))
            .route("/large", get(large))
            .route("/waiting", get(std::future::pending::<()>));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (begun, address) = (Instant::now(), listener.local_addr().unwrap());
        let table = Arc::new(Table::new(limits, begun));
        let server = Arc::new(serve::Server { router: app, tls });
        let (stopping, stop) = watch::channel(false);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept::accept(listener, table.clone(), server, stop));
        Self { table, address, begun, _stopping: stopping, _accepting: accepting }
    }

    /// Lets the sweep see this moment, in seconds after the start.
    fn at(&self, seconds: u64) {
        self.table.sweep(self.begun + Duration::from_secs(seconds));
    }

    /// A client whose socket takes little.
    async fn connect(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    async fn ask(&self, path: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(request(path).as_bytes()).await.unwrap();
        stream
    }

    async fn holds(&self, connections: usize) {
        until(|| self.table.len() == connections).await;
    }
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

async fn large() -> Body {
    let piece = Bytes::from(vec![7; PIECE]);
    let pieces = (0..LARGE / PIECE).map(move |_| Ok::<_, std::convert::Infallible>(piece.clone()));
    Body::from_stream(futures::stream::iter(pieces))
}

/// Waits for a condition that other tasks, or the system, bring about.
async fn until(mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it comes about");
}

/// Reads the head of an answer.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}
