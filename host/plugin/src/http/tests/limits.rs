//! Answers that are too long, too slow or wrong, and too many requests.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::*;

/// A server that answers each request with a beginning, and then with the rest again and again.
async fn repeating(beginning: String, rest: Vec<u8>) -> Server {
    Server::start(move |mut stream, _| {
        let (beginning, rest) = (beginning.clone(), rest.clone());
        async move {
            if server::read(&mut stream).await.is_none() || stream.write_all(beginning.as_bytes()).await.is_err() {
                return;
            }
            while stream.write_all(&rest).await.is_ok() {}
        }
    })
    .await
}

/// A server that answers with this and closes the connection.
async fn saying(answer: &str) -> Server {
    let answer = answer.to_owned();
    Server::start(move |mut stream, _| {
        let answer = answer.clone();
        async move {
            if server::read(&mut stream).await.is_some() {
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
                // It reads to the end, so that the answer is not lost to a reset.
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_body_of_a_mebibyte_is_taken_and_no_byte_more() {
    for (length, taken) in [(MAX_BODY, true), (MAX_BODY + 1, false)] {
        let body = "x".repeat(length);
        let server = Server::answering(move |_| server::ok(&body)).await;
        let (plugin, _) = plugin(&[host(&server.url(""))]);
        match get(&plugin, &server.url("/")).await {
            Ok(answer) => assert!(taken && answer.body.len() == length),
            error => {
                assert!(!taken);
                assert_failed(error, "the answer has more than 1048576 bytes");
            }
        }
    }
}

#[tokio::test]
async fn a_body_without_an_end_is_cut() {
    for (head, rest) in [
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1000\r\n".iter().chain(&[b'x'; 0x1000]).chain(b"\r\n").copied().collect(),
        ),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", vec![b'x'; 0x1000]),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", vec![b'x'; 0x1000]),
    ] {
        let server = repeating(head.into(), rest).await;
        let (plugin, _) = plugin(&[host(&server.url(""))]);
        assert_failed(get(&plugin, &server.url("/")).await, "the answer has more than 1048576 bytes");
    }
}

#[tokio::test]
async fn a_head_without_an_end_is_cut() {
    let server = repeating("HTTP/1.1 200 OK\r\n".into(), b"X-Bomb: 0123456789abcdef\r\n".to_vec()).await;
    let (plugin, _) = plugin(&[host(&server.url(""))]);
    assert!(matches!(get(&plugin, &server.url("/")).await, Err(HttpError::Failed(_))));
    let server = repeating("HTTP/1.1 200 OK\r\nX-Bomb: ".into(), vec![b'x'; 1000]).await;
    let (plugin, _) = super::plugin(&[host(&server.url(""))]);
    assert!(matches!(get(&plugin, &server.url("/")).await, Err(HttpError::Failed(_))));
    let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "A: b\r\n".repeat(200));
    let server = saying(&many).await;
    let (plugin, _) = super::plugin(&[host(&server.url(""))]);
    assert!(matches!(get(&plugin, &server.url("/")).await, Err(HttpError::Failed(_))));
}

#[tokio::test]
async fn an_answer_that_never_comes_is_given_up() {
    for beginning in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"] {
        let server = Server::start(move |mut stream, _| async move {
            server::read(&mut stream).await;
            stream.write_all(beginning.as_bytes()).await.unwrap();
            // It keeps the connection and says nothing more.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        })
        .await;
        let (plugin, _) = with(&[host(&server.url(""))], RootCertStore::empty(), Duration::from_millis(200));
        assert_failed(get(&plugin, &server.url("/")).await, "there is no whole answer after 200 ms");
    }
}

#[tokio::test]
async fn a_slow_answer_is_given_up_however_it_drips() {
    let server = Server::start(|mut stream, _| async move {
        server::read(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
        if stream.write_all(head).await.is_ok() {
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    })
    .await;
    let (plugin, _) = with(&[host(&server.url(""))], RootCertStore::empty(), Duration::from_millis(300));
    assert_failed(get(&plugin, &server.url("/")).await, "there is no whole answer after 300 ms");
}

#[tokio::test]
async fn an_answer_that_lies_is_a_failure() {
    for answer in [
        "",
        "hello\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 999999 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
        "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
    ] {
        let server = saying(answer).await;
        let (plugin, _) = plugin(&[host(&server.url(""))]);
        let got = get(&plugin, &server.url("/")).await;
        assert!(matches!(got, Err(HttpError::Failed(_))), "{answer:?}: {got:?}");
    }
}

/// A server that keeps connections and says when each begins and ends.
async fn keeping() -> (Server, mpsc::UnboundedReceiver<&'static str>) {
    let (say, said) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream, _| {
        let say = say.clone();
        async move {
            server::read(&mut stream).await;
            say.send("asked").unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
            let _ = say.send("gone");
        }
    })
    .await;
    (server, said)
}

#[tokio::test]
async fn a_request_ends_with_whoever_asked() {
    let (server, mut said) = keeping().await;
    let (plugin, _) = plugin(&[host(&server.url(""))]);
    let exchange = plugin.send("GET", &server.url("/"), &[], Vec::new(), || {}).unwrap();
    assert_eq!(said.recv().await, Some("asked"));
    drop(exchange);
    assert_eq!(said.recv().await, Some("gone"));
}

#[tokio::test]
async fn a_plugin_has_only_so_many_at_a_time_and_takes_no_others_room() {
    let (server, mut said) = keeping().await;
    let here: Lookup = Arc::new(|_| Box::pin(async { unreachable!("addresses are not looked up") }));
    let http = Arc::new(Http::with(tls::trusting(RootCertStore::empty()).unwrap(), here).unwrap());
    let send = |plugin: &PluginHttp| plugin.send("GET", &server.url("/"), &[], Vec::new(), || {});
    let plugins: Vec<_> =
        (0..=MAX_OF_SERVER / MAX_OF_PLUGIN).map(|_| of(http.clone(), &[host(&server.url(""))], TIME).0).collect();
    let mut exchanges: Vec<_> = (0..MAX_OF_PLUGIN).map(|_| send(&plugins[0]).unwrap()).collect();
    let error = send(&plugins[0]).unwrap_err();
    assert_eq!(error.to_string(), "the plugin has 8 requests under way, as many as it may");
    for plugin in &plugins[1..MAX_OF_SERVER / MAX_OF_PLUGIN] {
        exchanges.extend((0..MAX_OF_PLUGIN).map(|_| send(plugin).unwrap()));
    }
    let last = plugins.last().unwrap();
    assert!(
        matches!(send(last), Err(HttpError::TooMany(text)) if text.starts_with("the plugins of this server have 64"))
    );
    for _ in 0..MAX_OF_SERVER {
        assert_eq!(said.recv().await, Some("asked"));
    }
    drop(exchanges);
    for _ in 0..MAX_OF_SERVER {
        assert_eq!(said.recv().await, Some("gone"));
    }
    // The task that was aborted gives its place back.
    while send(last).is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn answers_that_are_not_taken_count() {
    let server = Server::answering(|_| server::ok("x")).await;
    let (plugin, _) = plugin(&[host(&server.url(""))]);
    let done = Arc::new(Mutex::new(0));
    let mut kept = Vec::new();
    for _ in 0..MAX_OF_PLUGIN {
        let (sent, done) = (Arc::new(Notify::new()), done.clone());
        let told = sent.clone();
        let tell = move || {
            *done.lock().unwrap() += 1;
            told.notify_one();
        };
        kept.push(plugin.send("GET", &server.url("/"), &[], Vec::new(), tell).unwrap());
        sent.notified().await;
    }
    assert_eq!(*done.lock().unwrap(), MAX_OF_PLUGIN);
    assert!(matches!(plugin.send("GET", &server.url("/"), &[], Vec::new(), || {}), Err(HttpError::TooMany(_))));
    kept.pop();
    assert!(plugin.send("GET", &server.url("/"), &[], Vec::new(), || {}).is_ok());
}
