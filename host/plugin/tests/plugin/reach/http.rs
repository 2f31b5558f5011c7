//! HTTP requests, to servers that answer and to those that do not.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;

/// A server whose connections are told of, with what was asked, and answered with this; or not at all.
async fn server(answer: Option<&'static str>) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (say, said) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, answer, say.clone()));
        }
    });
    (url, said)
}

async fn serve(mut stream: TcpStream, answer: Option<&'static str>, say: mpsc::UnboundedSender<String>) {
    let mut asked = Vec::new();
    while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut asked).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let _ = say.send(String::from_utf8_lossy(&asked).lines().next().unwrap_or_default().to_owned());
    if let Some(answer) = answer {
        let _ = stream.write_all(answer.as_bytes()).await;
    }
    let _ = stream.read_to_end(&mut Vec::new()).await;
    let _ = say.send("gone".into());
}

fn granted(url: &str) -> Grants {
    Grants { http: vec![url.parse().unwrap()], ..Grants::default() }
}

#[tokio::test]
async fn an_answer_wakes_the_instance_that_has_asked() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
    let (url, mut said) = server(Some(answer)).await;
    let work = Work::start(granted(&url)).await;
    let ticket = work.told(&format!("send POST {url}/hook body")).await;
    ticket.parse::<u64>().unwrap();
    assert_eq!(said.recv().await.unwrap(), "POST /hook HTTP/1.1");
    let answers = work.told_until("answers", |answers| !answers.is_empty()).await;
    assert_eq!(answers, "200 text/plain hello (closed)");
    assert_eq!(work.told("woken").await, ticket);
    assert_eq!((work.faults(), work.denied()), (vec![], vec![]));
}

#[tokio::test]
async fn a_failure_wakes_it_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let work = Work::start(granted(&url)).await;
    work.told(&format!("send GET {url}")).await;
    let answers = work.told_until("answers", |answers| !answers.is_empty()).await;
    assert!(answers.starts_with("failed: ") && answers.contains("refused"), "{answers}");
}

#[tokio::test]
async fn a_host_that_is_not_granted_is_never_asked() {
    let (url, mut said) = server(None).await;
    let work = Work::start(granted("https://api.example")).await;
    assert_eq!(work.told(&format!("send GET {url}")).await, format!("denied: {url} is not granted"));
    assert_eq!(work.denied(), [("http", url, 1)]);
    assert!(work.told("send GET nonsense").await.starts_with("invalid: the URL \"nonsense\""));
    assert!(said.try_recv().is_err());
}

#[tokio::test]
async fn a_redirect_out_of_the_grants_is_denied() {
    let (url, _said) =
        server(Some("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")).await;
    let work = Work::start(granted(&url)).await;
    work.told(&format!("send GET {url}")).await;
    let answers = work.told_until("answers", |answers| !answers.is_empty()).await;
    assert_eq!(answers, "denied: http://127.0.0.1:1 is not granted");
    assert_eq!(work.denied(), [("http", "http://127.0.0.1:1".into(), 1)]);
}

#[tokio::test]
async fn requests_end_with_their_handles_and_with_the_instance() {
    let (url, mut said) = server(None).await;
    let mut work = Work::start(granted(&url)).await;
    let send = format!("send GET {url}");
    for _ in 0..8 {
        work.told(&send).await.parse::<u64>().unwrap();
    }
    let refused = work.told(&send).await;
    assert_eq!(refused, "overloaded: the plugin has 8 requests under way, as many as it may");
    let mut seen = async |what: &str, times: usize| {
        for _ in 0..times {
            let next = tokio::time::timeout(TIME, said.recv()).await.unwrap_or_else(|_| panic!("not {what}"));
            assert_eq!(next.unwrap(), what);
        }
    };
    seen("GET / HTTP/1.1", 8).await;
    work.told("drop-requests").await;
    seen("gone", 8).await;
    work.told(&send).await.parse::<u64>().unwrap();
    seen("GET / HTTP/1.1", 1).await;
    // The stream has gone on all the while.
    work.source.write(30);
    crate::host::read(&work.source.broadcast(), "video-again", 31).await;
    work.ask("trap").await.unwrap_err();
    seen("gone", 1).await;
}

#[tokio::test]
async fn a_host_that_never_answers_is_given_up() {
    let (url, _said) = server(None).await;
    let mut settings = settings(granted(&url), serde_json::json!({}));
    settings.limits.http_time = Duration::from_millis(200);
    let work = Work::of(load(&engine(), settings).await).await;
    work.told(&format!("send GET {url}")).await;
    let answers = work.told_until("answers", |answers| !answers.is_empty()).await;
    assert_eq!(answers, "failed: there is no whole answer after 200 ms");
}
