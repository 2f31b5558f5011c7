//! Sessions with clients and with relays, over the loopback interface.

use std::time::SystemTime;

use millrace_media::bus;
use millrace_media::clock::Clock;
use millrace_moq::{Client, Limits, Session, Stack, Trust};

use super::*;
use crate::access::Local;
use crate::config;

const PATIENCE: Duration = Duration::from_secs(20);

fn bus() -> Bus {
    Bus::new(bus::Settings::default(), Arc::new(Clock::system()))
}

fn certificates() -> Certificates {
    Certificates::development(vec!["localhost".into(), "127.0.0.1".into()], SystemTime::now()).unwrap()
}

fn trust(certificates: &Certificates) -> Trust {
    Trust::Hashes(vec![certificates.hash().unwrap()])
}

/// A server with a token, and a client of it.
async fn site() -> (Serving, Client, u16) {
    let variables = [("MILLRACE_MOQ_LISTEN", "127.0.0.1:0"), ("MILLRACE_INGEST_PUBLISH_TOKEN", "correct-horse")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = config::load(None, variables.into_iter()).unwrap();
    let certificates = certificates();
    let publishers = Arc::new(Publishers::new(&config, Arc::new(Local::new(&config))).unwrap());
    let serving = Listeners::bind(&config, &certificates, &[])
        .unwrap()
        .serve(&config, &bus(), publishers, Access::default())
        .unwrap();
    let client = Client::new(trust(&certificates), Limits::default()).unwrap();
    let port = serving.status().ports[0];
    (serving, client, port)
}

async fn connected(client: &Client, port: u16, query: &str) -> web_transport_quinn::Session {
    let url = format!("https://127.0.0.1:{port}/{query}").parse().unwrap();
    let Session { stack: Stack::Net(transport), .. } = client.connect(&url).await.unwrap() else {
        panic!("moq-lite was not preferred")
    };
    transport
}

async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("never {what}"))
}

#[tokio::test]
async fn a_wrong_token_ends_the_session_with_the_reason() {
    let (serving, client, port) = site().await;
    let refused = connected(&client, port, "?token=wrong-horse").await;
    let end = in_time("refused", refused.closed()).await.to_string();
    assert!(end.contains("the token is wrong"), "{end}");
    serving.stop(PATIENCE).await;
}

#[tokio::test]
async fn clients_are_told_that_the_server_stops() {
    let (serving, client, port) = site().await;
    for query in ["", "?token=correct-horse"] {
        let transport = connected(&client, port, query).await;
        let (origin, _driver) = moq_net::origin::Producer::new(Default::default());
        let stack = moq_net::Client::new().with_subscriber(origin);
        let (session, driver) = stack.connect(std::time::Instant::now(), transport).await.unwrap();
        tokio::select! {
            version = async { session.version().to_string() } => assert!(version.starts_with("moq-lite"), "{version}"),
            end = moq_net::time::run(driver) => panic!("the session has ended: {end}"),
        }
    }
    let waits = connected(&client, port, "").await;
    // Sooner than it would find out by silence.
    tokio::join!(in_time("told", waits.closed()), serving.stop(PATIENCE));
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_with_what_to_do() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let listen = [("MILLRACE_MOQ_LISTEN".to_owned(), address.to_string())];
    let config = config::load(None, listen.into_iter()).unwrap();
    let error = Listeners::bind(&config, &certificates(), &[]).err().expect("it is taken").to_string();
    assert!(error.contains(&format!("UDP {address}")) && error.contains("`moq.listen`"), "{error}");
}

#[tokio::test]
async fn a_relay_is_come_back_to_and_told_of_the_end() {
    let certificates = certificates();
    let any = "127.0.0.1:0".parse().unwrap();
    let endpoint = Endpoint::bind(any, &certificates, Limits::default()).unwrap();
    let address = endpoint.address().unwrap();
    let text = format!("[[moq.relay]]\nurl = \"https://{address}/\"\ninsecure = true\n");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("millrace.toml");
    std::fs::write(&file, text).unwrap();
    let config = config::load(Some(&file), std::iter::empty()).unwrap();
    let state = Arc::new(RelayState::new("the relay".into()));
    let stop = watch::Sender::new(false);
    let deliver = Moq::new(bus(), settings::moq_deliver(&config));
    let relay = config.moq.relays[0].clone();
    let keeping = tokio::spawn(relay::keep(relay, Limits::default(), deliver, state.clone(), stop.subscribe()));

    let (first, held) = in_time("connected", endpoint.accept()).await.unwrap().session().await.unwrap();
    first.refuse("not today");
    drop(held);
    let (session, _held) = in_time("come back to", endpoint.accept()).await.unwrap().session().await.unwrap();
    let error = state.now().error.expect("the first session has ended");
    assert!(error.contains("not today"), "{error}");
    let Stack::Net(transport) = session.stack else { panic!("moq-lite was not preferred") };
    stop.send_replace(true);
    in_time("told", transport.closed()).await;
    in_time("ended", keeping).await.unwrap();
}
