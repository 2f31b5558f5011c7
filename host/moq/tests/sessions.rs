//! An endpoint and clients of it, on the loopback interface.

use std::time::{Duration, SystemTime};

use millrace_moq::negotiate::Protocol;
use millrace_moq::{AcceptError, Certificates, Client, ConnectError, Endpoint, Limits, Session, Stack, Trust};

fn certificates() -> Certificates {
    Certificates::development(vec!["localhost".into(), "127.0.0.1".into()], SystemTime::now()).unwrap()
}

fn endpoint(limits: Limits) -> (Endpoint, Trust, u16) {
    let certificates = certificates();
    let endpoint = Endpoint::bind("127.0.0.1:0".parse().unwrap(), &certificates, limits).unwrap();
    let port = endpoint.address().unwrap().port();
    (endpoint, Trust::Hashes(vec![certificates.hash().unwrap()]), port)
}

async fn meet(scheme: &str, speaks: Vec<Protocol>) -> (Session, Session) {
    let (endpoint, trust, port) = endpoint(Limits::default());
    let client = Client::new(trust, Limits::default()).unwrap().speaking(speaks);
    let url = format!("{scheme}://127.0.0.1:{port}/live/me?token=s3cret").parse().unwrap();
    let (served, connected) =
        tokio::join!(async { endpoint.accept().await.unwrap().session().await.unwrap() }, async {
            client.connect(&url).await.unwrap()
        },);
    (served.0, connected)
}

#[tokio::test]
async fn clients_of_draft_18_are_met_by_moq_transport() {
    for scheme in ["https", "moqt"] {
        let (served, connected) = meet(scheme, vec![Protocol::Transport]).await;
        for session in [&served, &connected] {
            assert_eq!(session.protocol, Protocol::Transport, "{scheme}");
            assert!(matches!(session.stack, Stack::Transport { .. }), "{scheme}");
            assert_eq!(session.address.path, "live/me", "{scheme}");
            assert_eq!(session.address.parameter("token").as_deref(), Some("s3cret"), "{scheme}");
        }
    }
}

#[tokio::test]
async fn everybody_else_is_met_by_moq_net() {
    for scheme in ["https", "moqt"] {
        let (served, connected) = meet(scheme, Protocol::all().collect()).await;
        for session in [served, connected] {
            assert_eq!(session.protocol, Protocol::all().next().unwrap(), "{scheme}");
            assert!(matches!(session.stack, Stack::Net(_)), "{scheme}");
        }
    }
}

#[tokio::test]
async fn moq_net_meets_servers_of_draft_18_too() {
    let (endpoint, trust, port) = endpoint(Limits::default());
    let speaks = Protocol::all_net().filter(|protocol| protocol.name() == "moqt-18").collect();
    let client = Client::new(trust, Limits::default()).unwrap().speaking(speaks);
    let url = format!("https://127.0.0.1:{port}/").parse().unwrap();
    let connect = async {
        let Stack::Net(transport) = client.connect(&url).await.unwrap().stack else { panic!("not moq-net") };
        let (origin, _driver) = moq_net::origin::Producer::new(Default::default());
        let stack = moq_net::Client::new().with_subscriber(origin);
        let (_session, driver) = stack.connect(std::time::Instant::now(), transport).await.unwrap();
        moq_net::time::run(driver).await
    };
    tokio::select! {
        served = async { endpoint.accept().await.unwrap().session().await } => {
            assert!(matches!(served.unwrap().0.stack, Stack::Transport { .. }));
        }
        ended = connect => panic!("the client's session has ended: {ended}"),
    }
}

#[tokio::test]
async fn a_client_that_offers_nothing_known_is_answered_406() {
    let (endpoint, trust, port) = endpoint(Limits::default());
    let client = Client::new(trust, Limits::default()).unwrap().speaking(vec![Protocol::Net("moqt-99")]);
    let url = format!("https://127.0.0.1:{port}/").parse().unwrap();
    let (served, refused) =
        tokio::join!(async { endpoint.accept().await.unwrap().session().await.unwrap_err() }, async {
            client.connect(&url).await.unwrap_err()
        },);
    assert!(matches!(served, AcceptError::Unknown { offered } if offered == ["moqt-99"]));
    assert!(matches!(refused, ConnectError::Refused(_)) && refused.to_string().contains("406"), "{refused}");
}

#[tokio::test]
async fn a_server_of_another_certificate_is_not_trusted() {
    let (endpoint, _, port) = endpoint(Limits::default());
    let stranger = Trust::Hashes(vec![certificates().hash().unwrap()]);
    let client = Client::new(stranger, Limits::default()).unwrap();
    let url = format!("https://127.0.0.1:{port}/").parse().unwrap();
    let (served, refused) =
        tokio::join!(async { endpoint.accept().await.unwrap().session().await.unwrap_err() }, async {
            client.connect(&url).await.unwrap_err()
        },);
    assert!(matches!(served, AcceptError::Handshake(_)), "{served}");
    assert!(matches!(refused, ConnectError::Handshake(_)), "{refused}");
}

#[tokio::test]
async fn another_certificate_is_shown_to_those_who_come_later_and_nobody_has_to_leave() {
    let (now, week) = (SystemTime::now(), Duration::from_secs(7 * 24 * 3600));
    let certificates = Certificates::development(vec!["127.0.0.1".into()], now - week).unwrap();
    let endpoint = Endpoint::bind("127.0.0.1:0".parse().unwrap(), &certificates, Limits::default()).unwrap();
    let url = format!("https://127.0.0.1:{}/", endpoint.address().unwrap().port()).parse().unwrap();
    let before = Trust::Hashes(vec![certificates.hash().unwrap()]);
    let met = async |trust: &Trust| {
        let client = Client::new(trust.clone(), Limits::default()).unwrap();
        let accept = async { endpoint.accept().await.unwrap().session().await };
        let (served, connected) = tokio::join!(accept, client.connect(&url));
        Some((client, served.ok()?, connected.ok()?))
    };
    let there = met(&before).await.expect("it is trusted");
    assert!(certificates.refresh(now).unwrap(), "half of its time is over");
    let after = Trust::Hashes(vec![certificates.hash().unwrap()]);
    assert!(met(&after).await.is_some(), "the new one is shown");
    assert!(met(&before).await.is_none(), "and not the old one");
    let Stack::Net(transport) = there.2.stack else { panic!("another stack") };
    transport.open_uni().await.expect("who was there stays");
}

#[tokio::test]
async fn one_connection_more_than_there_may_be_is_refused() {
    let (endpoint, trust, port) = endpoint(Limits { max_connections: 1, ..Limits::default() });
    let client = Client::new(trust, Limits::default()).unwrap();
    let url = format!("https://127.0.0.1:{port}/").parse().unwrap();
    let accept = async || endpoint.accept().await.unwrap().session().await;
    let (first, connected) = tokio::join!(accept(), client.connect(&url));
    let ((first, held), _connected) = (first.unwrap(), connected.unwrap());
    let (second, refused) = tokio::join!(accept(), client.connect(&url));
    assert!(matches!(second, Err(AcceptError::Busy)) && refused.is_err());
    drop((first, held));
    let (third, connected) = tokio::join!(accept(), client.connect(&url));
    assert!(third.is_ok() && connected.is_ok(), "its place is free again");
}

#[tokio::test]
async fn clients_whose_address_is_asked_for_first_are_met_too() {
    let (endpoint, trust, port) = endpoint(Limits { max_connections: 2, ..Limits::default() });
    let client = Client::new(trust, Limits::default()).unwrap();
    let url = format!("https://127.0.0.1:{port}/").parse().unwrap();
    let mut held = Vec::new();
    // Before the second, half of the places are taken.
    for _ in 0..2 {
        let accept = async { endpoint.accept().await.unwrap().session().await.unwrap() };
        let (served, connected) = tokio::join!(accept, client.connect(&url));
        held.push((served, connected.unwrap()));
    }
}

/// A client's side of a session in which the server reads nothing, and the server's.
async fn unread(limits: Limits) -> (impl Sized, Session) {
    let (endpoint, trust, port) = endpoint(limits);
    let client = Client::new(trust, Limits::default()).unwrap();
    let url = format!("https://127.0.0.1:{port}/").parse().unwrap();
    let accept = async { endpoint.accept().await.unwrap().session().await.unwrap() };
    let (served, connected) = tokio::join!(accept, client.connect(&url));
    ((served, client, endpoint), connected.unwrap())
}

/// Long enough for whatever can be done.
const SOON: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_client_sends_no_more_than_the_server_would_read() {
    let (window, of_stream) = (64 << 10, 16 << 10);
    let limits = Limits { receive_window: window, stream_receive_window: of_stream, ..Limits::default() };
    let (_server, client) = unread(limits).await;
    let Stack::Net(transport) = client.stack else { panic!("another stack") };
    let (mut streams, mut sent) = (Vec::new(), 0);
    while let Ok(stream) = tokio::time::timeout(SOON, transport.open_uni()).await {
        let (mut stream, mut of_this) = (stream.unwrap(), 0);
        while let Ok(written) = tokio::time::timeout(SOON, stream.write(&[0; 4096])).await {
            of_this += written.unwrap();
        }
        assert!(of_this <= of_stream as usize, "{of_this} bytes were taken of one stream");
        sent += of_this;
        streams.push(stream);
    }
    assert!(sent > window as usize / 2 && sent <= window as usize, "{sent} bytes were taken");
}

#[tokio::test]
async fn a_client_opens_no_more_streams_than_it_may() {
    let (_server, client) = unread(Limits { max_streams: 16, ..Limits::default() }).await;
    let Stack::Net(transport) = client.stack else { panic!("another stack") };
    let mut streams = Vec::new();
    while let Ok(stream) = tokio::time::timeout(SOON, transport.open_uni()).await {
        streams.push(stream.unwrap());
        assert!(streams.len() <= 16, "one stream more than there may be");
    }
    // HTTP/3 has a few of them.
    assert!(streams.len() > 8, "some of them: {}", streams.len());
}

#[tokio::test]
async fn a_client_that_vanishes_holds_little_and_is_let_go() {
    let (window, idle_timeout) = (64 << 10, Duration::from_secs(2));
    let (endpoint, trust, port) = endpoint(Limits { send_window: window, idle_timeout, ..Limits::default() });
    let url = format!("https://127.0.0.1:{port}/").parse().unwrap();
    // When its runtime goes, nothing of it is left to say so.
    let elsewhere = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let connected = elsewhere.spawn(async move {
        let client = Client::new(trust, Limits::default()).unwrap();
        let session = client.connect(&url).await.unwrap();
        (client, session)
    });
    let (served, _held) = endpoint.accept().await.unwrap().session().await.unwrap();
    let connected = connected.await.unwrap();
    elsewhere.shutdown_background();
    let Stack::Net(transport) = served.stack else { panic!("another stack") };
    let mut stream = transport.open_uni().await.unwrap();
    let mut taken = 0;
    while let Ok(Ok(written)) = tokio::time::timeout(idle_timeout / 4, stream.write(&[0; 4096])).await {
        taken += written;
    }
    assert!(taken > window as usize / 2 && taken <= window as usize, "{taken} bytes wait for it");
    tokio::time::timeout(10 * idle_timeout, transport.closed()).await.expect("it is let go");
    drop(connected);
}

#[tokio::test]
async fn a_client_that_is_there_and_has_nothing_to_say_is_kept() {
    let idle_timeout = Duration::from_millis(300);
    let (_server, client) = unread(Limits { idle_timeout, ..Limits::default() }).await;
    let Stack::Net(transport) = client.stack else { panic!("another stack") };
    let end = tokio::time::timeout(4 * idle_timeout, transport.closed()).await;
    assert!(end.is_err(), "it has ended: {end:?}");
}
