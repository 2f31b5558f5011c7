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
    let Some(line) = asked(&mut stream).await else { return };
    let _ = say.send(line);
    if let Some(answer) = answer {
        let _ = stream.write_all(answer.as_bytes()).await;
    }
    let _ = stream.read_to_end(&mut Vec::new()).await;
    let _ = say.send("gone".into());
}

/// The first line of a request, once its head is there; none where it does not come.
async fn asked(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return None;
        }
    }
    Some(String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned())
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

/// A server that answers each request with a beginning, and then with the rest again and again.
async fn endless(beginning: &'static str, rest: &'static [u8], pause: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                asked(&mut stream).await;
                let mut going = stream.write_all(beginning.as_bytes()).await.is_ok();
                while going {
                    going = stream.write_all(rest).await.is_ok();
                    tokio::time::sleep(pause).await;
                }
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_hosts_cost_a_healthy_stream_nothing() {
    const BODY: &[u8] = &[b'x'; 64 << 10];
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let refused = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let redirecting = server(Some("HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")).await.0;
    let hosts = [
        ("silent", server(None).await.0, "no whole answer"),
        (
            "slow",
            endless("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x", Duration::from_millis(5)).await,
            "no whole answer",
        ),
        (
            "huge",
            endless("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", BODY, Duration::ZERO).await,
            "more than 1048576 bytes",
        ),
        ("endless", endless(chunked, b"4\r\nabcd\r\n", Duration::ZERO).await, ""),
        ("bomb", endless("HTTP/1.1 200 OK\r\n", b"X-Bomb: 0123456789\r\n", Duration::ZERO).await, ""),
        ("lying", endless(chunked, b"zz\r\n", Duration::ZERO).await, ""),
        ("redirecting", redirecting, ""),
        ("refused", refused, "refused"),
    ];
    let grants = Grants { http: hosts.iter().map(|(_, url, _)| url.parse().unwrap()).collect(), ..Grants::default() };
    let mut settings = settings(grants, serde_json::json!({}));
    settings.limits.http_time = Duration::from_secs(1);
    let mut work = Work::of(load(&engine(), settings).await).await;
    for (name, url, _) in &hosts {
        work.told(&format!("send GET {url}")).await.parse::<u64>().unwrap_or_else(|_| panic!("{name} is not asked"));
    }
    for _ in 0..200 {
        work.source.write(1);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    crate::host::read(&work.source.broadcast(), "video-again", 201).await;
    let answers = work.told_until("answers", |answers| answers.lines().count() == hosts.len()).await;
    assert!(answers.lines().all(|answer| answer.starts_with("failed: ")), "{answers}");
    for (name, _, why) in &hosts {
        assert!(answers.contains(why), "{name}: {answers}");
    }
    let stats = stats(&work.runner, "reach");
    assert_eq!((stats.fragments, stats.skipped, stats.over_share), (201, 0, 0), "{stats:?}");
    assert_eq!(work.faults(), []);
}
