//! HTTP/2, with prior knowledge: streams whose data is not taken, though the connection is read.

use axum::http::Request;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};

use super::*;
use crate::listen::connection::Order;

/// A client that gives each stream so large a window, and reads its connection.
async fn client(stage: &Stage, window: u32) -> (SendRequest<Bytes>, JoinSet<Result<(), h2::Error>>) {
    let stream = TcpStream::connect(stage.address).await.unwrap();
    let (client, connection) = Builder::new().initial_window_size(window).handshake(stream).await.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    stage.holds(1).await;
    (client.ready().await.unwrap(), driver)
}

fn ask(client: &mut SendRequest<Bytes>, path: &str) -> ResponseFuture {
    let request = Request::get(format!("http://a{path}")).body(()).unwrap();
    client.send_request(request, true).unwrap().0
}

async fn body(client: &mut SendRequest<Bytes>, path: &str) -> RecvStream {
    let answer = ask(client, path).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.into_body()
}

#[tokio::test]
async fn http_2_is_spoken_with_prior_knowledge() {
    let stage = Stage::new(LIMITS).await;
    let (mut client, _driver) = client(&stage, 1 << 20).await;
    let mut large = body(&mut client, "/large").await;
    let mut taken = 0;
    while let Some(piece) = large.data().await {
        let piece = piece.unwrap();
        taken += piece.len();
        large.flow_control().release_capacity(piece.len()).unwrap();
    }
    assert_eq!(taken, LARGE);
    // All of it was taken: nothing is left that could be called slow.
    let connection = stage.table.only();
    until(|| connection.probe().unsent() == Some(0)).await;
    for seconds in [1, 31, 59] {
        stage.at(seconds);
    }
    assert_eq!(connection.standing(), Order::Stay);
}

#[tokio::test]
async fn a_stream_without_a_window_is_reset_and_the_others_go_on() {
    let stage = Stage::new(LIMITS).await;
    let (mut client, _driver) = client(&stage, 0).await;
    let mut untaken = body(&mut client, "/large").await;
    let waiting = ask(&mut client, "/waiting");
    let connection = stage.table.only();
    until(|| connection.untaken() == 1).await;
    // The socket is read: only the stream's window is shut.
    until(|| connection.probe().unsent() == Some(0)).await;
    stage.at(1);
    stage.at(20);
    stage.at(29);
    assert_eq!(connection.untaken(), 1);
    stage.at(31);
    let error = untaken.data().await.unwrap().unwrap_err();
    assert_eq!(error.reason(), Some(Reason::CANCEL), "{error}");
    until(|| connection.untaken() == 0).await;
    stage.at(32);
    assert_eq!(connection.standing(), Order::Stay);
    assert_eq!(ask(&mut client, "/nowhere").await.unwrap().status(), 404);
    drop(waiting);
}

#[tokio::test]
async fn a_window_that_shuts_in_the_middle_ends_the_connection_in_order() {
    let stage = Stage::new(LIMITS).await;
    let (mut client, mut driver) = client(&stage, 1000).await;
    // One piece: all of it waits in the protocol's queue, and its task is over.
    let mut untaken = body(&mut client, "/piece").await;
    assert_eq!(untaken.data().await.unwrap().unwrap().len(), 1000);
    let connection = stage.table.only();
    until(|| connection.untaken() == 1 && connection.probe().unsent() == Some(0)).await;
    for seconds in [1, 20, 31] {
        stage.at(seconds);
    }
    assert_eq!(connection.standing(), Order::Retire);
    // Other answers have as long again.
    stage.at(60);
    assert_eq!(stage.table.len(), 1);
    stage.at(62);
    stage.holds(0).await;
    let _ = driver.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn streams_of_a_slow_socket_wait_for_their_turn() {
    let stage = Stage::new(LIMITS).await;
    // It opens every window and reads nothing for now: what it does not take is in the system.
    let mut stream = stage.connect().await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    // SETTINGS: the initial window; WINDOW_UPDATE of the connection; a request for /large (RFC 9113, 6.5, 6.9, 6.2; RFC 7541).
    stream.write_all(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff]).await.unwrap();
    stream.write_all(&[0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0, 0, 0]).await.unwrap();
    stream.write_all(&[0, 0, 13, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x41, 1, b'a', 0x04, 6]).await.unwrap();
    stream.write_all(b"/large").await.unwrap();
    stage.holds(1).await;
    let connection = stage.table.only();
    until(|| connection.untaken() == 1 && connection.probe().unsent().is_some_and(|unsent| unsent > PIECE)).await;
    stage.at(1);
    let mut buffer = vec![0; 4096];
    for step in 1..=5 {
        let before = connection.probe().unsent().unwrap();
        until(|| {
            let _ = stream.try_read(&mut buffer);
            connection.probe().unsent().unwrap() != before
        })
        .await;
        stage.at(step * 29);
        assert_eq!((connection.standing(), connection.untaken()), (Order::Stay, 1));
    }
    stage.at(5 * 29 + 30);
    stage.holds(0).await;
}
