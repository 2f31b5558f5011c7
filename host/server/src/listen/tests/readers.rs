//! Clients that take nothing of an answer, and clients that take little.

use std::io::ErrorKind;

use millrace_moq::Certificates;
use rustls::{ClientConfig, RootCertStore};
use socket2::SockRef;
use tokio_rustls::TlsConnector;

use super::*;
use crate::listen::connection::{Connection, Order};
use crate::listen::socket::{SEND_BUFFER, UNSENT, prepare};
use crate::listen::tls;

#[tokio::test]
async fn a_socket_sends_small_writes_at_once_and_holds_little() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    assert!(!stream.nodelay().unwrap(), "the system's default");
    prepare(&stream).unwrap();
    assert!(stream.nodelay().unwrap());
    let socket = SockRef::from(&stream);
    assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT);
    // Doubled by the system, and no more than `net.core.wmem_max` before that.
    let held = socket.send_buffer_size().unwrap();
    assert!((UNSENT as usize..=2 * SEND_BUFFER).contains(&held), "{held}");
    drop(client);
}

/// The only connection there is, once the system takes no more for it.
async fn stuck(stage: &Stage) -> Arc<Connection> {
    let mut last = 0;
    let connection = stage.table.only();
    until(|| {
        let unsent = connection.probe().unsent().unwrap_or(0);
        std::mem::replace(&mut last, unsent) == unsent && unsent > UNSENT as usize / 2
    })
    .await;
    assert!(last <= 2 * SEND_BUFFER, "the system holds {last} bytes");
    connection
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_ended_when_patience_is() {
    let stage = Stage::new(LIMITS).await;
    // Pipelined, as an attacker would: they are not all answered at once.
    let mut client = stage.connect().await;
    client.write_all(request("/large").repeat(12).as_bytes()).await.unwrap();
    stage.holds(1).await;
    let connection = stuck(&stage).await;
    assert_eq!(connection.probe().nodelay(), Some(true));
    stage.at(1);
    stage.at(30);
    assert_eq!(connection.standing(), Order::Stay, "29 seconds are not thirty");
    stage.at(31);
    stage.holds(0).await;
    // The system has forgotten what it held: it does not offer it any more.
    let mut taken = Vec::new();
    let error = client.read_to_end(&mut taken).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_client_that_takes_nothing_over_tls_is_ended_too() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let acceptor = tls::acceptor(&Certificates::from_files(&cert, &key).unwrap()).unwrap();
    let stage = Stage::with(LIMITS, Some(acceptor)).await;

    let mut trusted = RootCertStore::empty();
    trusted.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(trusted).with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let mut client = connector.connect("localhost".try_into().unwrap(), stage.connect().await).await.unwrap();
    client.write_all(request("/large").as_bytes()).await.unwrap();
    client.flush().await.unwrap();
    let connection = stuck(&stage).await;
    assert_eq!(connection.probe().nodelay(), Some(true));
    stage.at(1);
    stage.at(30);
    assert_eq!(connection.standing(), Order::Stay);
    stage.at(31);
    stage.holds(0).await;
}

#[tokio::test]
async fn a_client_that_takes_little_stays() {
    let stage = Stage::new(LIMITS).await;
    let client = stage.ask("/large").await;
    stage.holds(1).await;
    let connection = stuck(&stage).await;
    stage.at(1);
    for minute in 1..=10 {
        // Every half minute less than it takes for the system to ask for more.
        let before = connection.probe().unsent().unwrap();
        let mut buffer = vec![0; 4096];
        until(|| {
            let _ = client.try_read(&mut buffer);
            connection.probe().unsent().unwrap() != before
        })
        .await;
        stage.at(minute * 29);
        assert_eq!(connection.standing(), Order::Stay);
    }
    stage.at(10 * 29 + 30);
    stage.holds(0).await;
}

#[tokio::test]
async fn what_a_client_has_not_taken_of_a_closed_connection_still_counts() {
    let stage = Stage::new(LIMITS).await;
    // It fits into what the system holds, so that the answer is over here.
    let closing = "GET /piece HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let (mut one, mut other) = (stage.connect().await, stage.connect().await);
    one.write_all(closing.as_bytes()).await.unwrap();
    other.write_all(closing.as_bytes()).await.unwrap();
    until(|| stage.table.lingering() == 2).await;
    assert_eq!(stage.table.len(), 2);
    stage.at(1);
    let mut taken = Vec::new();
    one.read_to_end(&mut taken).await.unwrap();
    assert!(taken.len() > PIECE, "it comes in whole");
    until(|| {
        stage.at(2);
        stage.table.len() == 1
    })
    .await;
    stage.at(32);
    stage.holds(0).await;
    assert!(other.read_to_end(&mut taken).await.is_err(), "the rest is not offered any more");
}

#[tokio::test]
async fn what_a_client_has_reset_counts_no_longer() {
    let stage = Stage::new(LIMITS).await;
    let mut client = stage.connect().await;
    client.write_all(b"GET /piece HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    until(|| stage.table.lingering() == 1).await;
    // A process that ends with bytes unread resets its connections.
    drop(client);
    until(|| {
        stage.at(1);
        stage.table.len() == 0
    })
    .await;
}

#[tokio::test]
async fn a_client_that_waits_for_an_answer_is_not_slow() {
    let stage = Stage::new(LIMITS).await;
    let _waiting = stage.ask("/waiting").await;
    stage.holds(1).await;
    let connection = stage.table.only();
    until(|| connection.silence(Duration::ZERO).is_none()).await;
    for seconds in [1, 31, 61, 3600] {
        stage.at(seconds);
        assert_eq!(connection.standing(), Order::Stay, "after {seconds} s");
    }
}
