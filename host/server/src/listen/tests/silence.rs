//! Connections on which nothing is asked.

use std::time::SystemTime;

use millrace_moq::Certificates;

use super::*;
use crate::listen::tls;

#[tokio::test]
async fn a_connection_without_a_request_ends_after_a_minute() {
    let stage = Stage::new(LIMITS).await;
    let (mut silent, mut asking) = (stage.connect().await, stage.connect().await);
    let mut preface = stage.connect().await;
    // Neither half a head nor half a preface of HTTP/2 is a request.
    let mut slow = stage.connect().await;
    slow.write_all(b"GET /small HTTP/1.1\r\nHost: ").await.unwrap();
    preface.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    stage.holds(4).await;
    stage.at(59);
    asking.write_all(request("/small").as_bytes()).await.unwrap();
    assert!(head(&mut asking).await.starts_with("HTTP/1.1 200"));
    slow.write_all(b"a").await.unwrap();
    stage.at(60);
    // What is told to end and does not is cut off.
    stage.at(66);
    stage.holds(1).await;
    let mut rest = Vec::new();
    assert!(silent.read_to_end(&mut rest).await.map_or(true, |read| read == 0));
    asking.write_all(request("/small").as_bytes()).await.unwrap();
    let mut body = [0; 5];
    asking.read_exact(&mut body).await.unwrap();
    assert!(head(&mut asking).await.starts_with("HTTP/1.1 200"), "its minute began when it last asked");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_end_is_ended() {
    let certificates = Certificates::development(vec!["localhost".into()], SystemTime::now()).unwrap();
    let stage = Stage::with(LIMITS, Some(tls::acceptor(&certificates).unwrap())).await;
    let mut client = stage.connect().await;
    client.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
    // The clock runs ahead where nothing happens.
    let mut answer = Vec::new();
    assert!(client.read_to_end(&mut answer).await.map_or(true, |read| read == 0));
    stage.holds(0).await;
}
