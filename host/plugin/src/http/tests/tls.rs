//! Servers whose certificates are right, and those whose are not.

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

pub(super) use super::super::tls::trusting;
use super::*;

/// A server with a certificate of its own for these names, and who trusts it.
async fn server(names: &[&str]) -> (Server, RootCertStore) {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = Server::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            while server::read(&mut stream).await.is_some() {
                if stream.write_all(server::ok("secure").as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (server, roots)
}

#[tokio::test]
async fn a_certificate_that_somebody_trusted_vouches_for_is_taken() {
    let (server, roots) = server(&["api.example"]).await;
    let url = format!("https://api.example:{}", server.port());
    let (plugin, _) = with(&[host(&url).private()], roots, TIME);
    assert_eq!(get(&plugin, &url).await.unwrap().body, "secure");
}

#[tokio::test]
async fn one_that_nobody_vouches_for_is_not() {
    let (server, _) = server(&["api.example"]).await;
    let url = format!("https://api.example:{}", server.port());
    let (plugin, _) = plugin(&[host(&url).private()]);
    assert_failed(get(&plugin, &url).await, "UnknownIssuer");
}

#[tokio::test]
async fn one_for_another_name_is_not() {
    let (server, roots) = server(&["other.example"]).await;
    let url = format!("https://api.example:{}", server.port());
    let (plugin, _) = with(&[host(&url).private()], roots, TIME);
    assert_failed(get(&plugin, &url).await, "not valid for");
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_not() {
    let server = Server::answering(|_| super::server::ok("plain")).await;
    let url = format!("https://127.0.0.1:{}", server.port());
    let (plugin, _) = plugin(&[host(&url)]);
    let answer = tokio::time::timeout(TIME, get(&plugin, &url)).await.unwrap();
    assert!(matches!(answer, Err(HttpError::Failed(_))), "{answer:?}");
}
