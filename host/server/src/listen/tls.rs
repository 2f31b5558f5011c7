//! TLS of the HTTP listeners.

use std::sync::Arc;

use millrace_moq::Certificates;
use tokio_rustls::TlsAcceptor;

/// TLS with whatever certificate there is when a client comes.
///
/// # Errors
/// Where the cryptography lacks what TLS 1.2 and 1.3 need.
pub(super) fn acceptor(certificates: &Certificates) -> anyhow::Result<TlsAcceptor> {
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificates.clone()));
    // Players come back often. A ticket carries what a handshake has to know, so nothing is kept here (RFC 8446, 4.6.1).
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
