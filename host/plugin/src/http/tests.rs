//! Requests to servers of every kind.

mod limits;
mod redirects;
mod server;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::RootCertStore;
use tokio::sync::Notify;

use super::*;
use crate::grants::{Denials, Grants, HostPattern};
use server::Server;

/// Longer than anything here takes.
const TIME: Duration = Duration::from_secs(20);

/// The part of a plugin that is granted these hosts, where every name is at 127.0.0.1.
fn plugin(hosts: &[HostPattern]) -> (PluginHttp, Arc<Denials>) {
    with(hosts, RootCertStore::empty(), TIME)
}

fn with(hosts: &[HostPattern], roots: RootCertStore, time: Duration) -> (PluginHttp, Arc<Denials>) {
    let here: Lookup = Arc::new(|_| Box::pin(async { Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))]) }));
    let http = Http::with(tls::trusting(roots).unwrap(), here).unwrap();
    of(Arc::new(http), hosts, time)
}

fn of(http: Arc<Http>, hosts: &[HostPattern], time: Duration) -> (PluginHttp, Arc<Denials>) {
    let grants = Arc::new(Grants { http: hosts.to_vec(), ..Grants::default() });
    let denials = Arc::new(Denials::new("test"));
    (PluginHttp::new(http, grants, denials.clone(), time), denials)
}

fn host(text: &str) -> HostPattern {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// Sends a request, and waits for its answer.
async fn request(
    plugin: &PluginHttp,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Response, HttpError> {
    let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let done = Arc::new(Notify::new());
    let mut exchange = {
        let done = done.clone();
        plugin.send(method, url, &headers, body.into(), move || done.notify_one())?
    };
    done.notified().await;
    let answer = exchange.poll().map(|answer| answer.expect("an answer that was announced"));
    assert!(exchange.poll().is_err(), "the answer is there twice");
    answer
}

async fn get(plugin: &PluginHttp, url: &str) -> Result<Response, HttpError> {
    request(plugin, "GET", url, &[], "").await
}

#[track_caller]
fn assert_failed(answer: Result<Response, HttpError>, with: &str) {
    match answer {
        Err(HttpError::Failed(text)) => assert!(text.contains(with), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_is_given_as_it_was_sent_and_the_connection_is_used_again() {
    let server = Server::answering(|_| "HTTP/1.1 201 Created\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello".into()).await;
    let (plugin, denials) = plugin(&[host(&server.url(""))]);
    for _ in 0..3 {
        let answer = request(&plugin, "POST", &server.url("/a?b"), &[("x-key", "k")], "body").await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (201, &b"hello"[..]));
        assert_eq!(answer.headers["x-a"], "1");
    }
    let seen = server.requests();
    assert_eq!((seen.len(), server.connections()), (3, 1));
    assert!(seen[0].starts_with("POST /a?b HTTP/1.1\r\n") && seen[0].ends_with("\r\n\r\nbody"), "{}", seen[0]);
    assert!(seen[0].contains("x-key: k\r\n") && seen[0].contains(&format!("host: {}\r\n", server.authority())));
    assert!(denials.list().is_empty());
}

#[tokio::test]
async fn a_host_that_is_not_granted_is_never_connected_to() {
    let server = Server::answering(|_| server::ok("")).await;
    let (plugin, denials) = plugin(&[host("http://127.0.0.1:9"), host("https://127.0.0.1")]);
    let error = get(&plugin, &server.url("/")).await.unwrap_err();
    assert_eq!(error, HttpError::NotGranted(server.url("")));
    assert_eq!(server.connections(), 0);
    let denials = denials.list();
    assert_eq!((denials.len(), denials[0].detail.as_str(), denials[0].count), (1, &*server.url(""), 1));
}

#[tokio::test]
async fn a_name_that_leads_into_the_network_of_the_server_is_refused_unless_it_is_marked() {
    let server = Server::answering(|_| server::ok("inside")).await;
    let url = format!("http://hooks.example:{}", server.port());
    let (plain, denials) = plugin(&[host(&url)]);
    let error = get(&plain, &url).await.unwrap_err();
    assert!(matches!(&error, HttpError::Private(_)), "{error:?}");
    assert!(error.to_string().starts_with("hooks.example is at 127.0.0.1"), "{error}");
    assert_eq!((server.connections(), denials.list()[0].count), (0, 1));
    let (marked, _) = plugin(&[host(&url).private()]);
    assert_eq!(get(&marked, &url).await.unwrap().body, "inside");
}

#[tokio::test]
async fn the_address_that_was_checked_is_the_one_that_is_connected_to() {
    let server = Server::answering(|_| server::ok("first")).await;
    // A name server that answers otherwise each time: only the first answer leads to the server.
    let asked = Arc::new(AtomicUsize::new(0));
    let lookup: Lookup = {
        let asked = asked.clone();
        Arc::new(move |_| {
            let last = u8::try_from(asked.fetch_add(1, Ordering::Relaxed) + 1).unwrap();
            Box::pin(async move { Ok(vec![SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0))]) })
        })
    };
    let http = Arc::new(Http::with(tls::trusting(RootCertStore::empty()).unwrap(), lookup).unwrap());
    let url = format!("http://rebinds.example:{}", server.port());
    let (plugin, _) = of(http, &[host(&url).private()], TIME);
    assert_eq!(get(&plugin, &url).await.unwrap().body, "first");
    assert_eq!((asked.load(Ordering::Relaxed), server.connections()), (1, 1));
}

#[tokio::test]
async fn a_host_that_refuses_is_a_failure() {
    let server = Server::answering(|_| server::ok("")).await;
    let url = server.url("");
    drop(server);
    let (plugin, _) = plugin(&[host(&url)]);
    assert_failed(get(&plugin, &url).await, "refused");
}

#[tokio::test]
async fn a_name_without_addresses_is_a_failure() {
    let nowhere: Lookup = Arc::new(|_| Box::pin(async { Err("no such host".into()) }));
    let http = Arc::new(Http::with(tls::trusting(RootCertStore::empty()).unwrap(), nowhere).unwrap());
    let (plugin, _) = of(http, &[host("api.example")], TIME);
    assert_failed(get(&plugin, "https://api.example/").await, "no such host");
}

#[test]
fn names_are_asked_of_the_system() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let found = runtime.block_on(resolve::system()("localhost".parse().unwrap())).unwrap();
    assert!(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
}
