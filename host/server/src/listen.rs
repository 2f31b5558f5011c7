//! The addresses the server listens on, with or without TLS.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::TokioTimer;
use millrace_media::payload::READ_BUFFER;
use millrace_moq::Certificates;
use tokio::task::JoinSet;

use crate::api::Reach;
use crate::config::Http;

/// A client that says nothing for so long, at first or between requests, is let go.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);

/// Addresses that are bound.
pub(crate) struct Listeners {
    sockets: Vec<TcpListener>,
    tls: Option<RustlsConfig>,
}

impl Listeners {
    /// Binds every address, before anything else is started.
    ///
    /// # Errors
    /// Where one cannot be bound.
    pub(crate) fn bind(http: &Http, certificates: Option<&Certificates>) -> anyhow::Result<Self> {
        let tls = certificates.map(tls).transpose()?;
        let bind = |address: &SocketAddr| {
            let socket = TcpListener::bind(address).with_context(|| {
                format!("cannot listen on {address}: is another server there? `http.listen` or --listen names others")
            })?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        Ok(Self { sockets: http.listen.iter().map(bind).collect::<anyhow::Result<_>>()?, tls })
    }

    /// Where it listens: as configured, with the ports that were free where any would do.
    ///
    /// # Errors
    /// Where the system does not say.
    pub(crate) fn addresses(&self) -> std::io::Result<Vec<SocketAddr>> {
        self.sockets.iter().map(TcpListener::local_addr).collect()
    }

    /// Serves until it is stopped: what is made for where each listener can be reached from.
    pub(crate) fn serve(self, app: impl Fn(Reach) -> Router) -> Serving {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut serving = Serving { handle: Handle::new(), tasks: JoinSet::new(), urls: Vec::new() };
        for socket in self.sockets {
            let reach = match socket.local_addr() {
                Ok(address) => {
                    serving.urls.push(format!("{scheme}://{address}"));
                    if address.ip().to_canonical().is_loopback() { Reach::Loopback } else { Reach::Network }
                }
                Err(error) => {
                    tracing::error!(%error, "a listener has no address");
                    Reach::Network
                }
            };
            let app = app(reach).into_make_service_with_connect_info::<SocketAddr>();
            let handle = serving.handle.clone();
            let tls = self.tls.clone();
            serving.tasks.spawn(async move {
                let served = match tls {
                    Some(tls) => match axum_server::from_tcp_rustls(socket, tls) {
                        Ok(mut server) => {
                            let mut http1 = server.http_builder().http1();
                            http1
                                .timer(TokioTimer::new())
                                .header_read_timeout(HEADER_TIMEOUT)
                                .max_buf_size(READ_BUFFER);
                            server.handle(handle).serve(app).await
                        }
                        Err(error) => Err(error),
                    },
                    None => match axum_server::from_tcp(socket) {
                        Ok(mut server) => {
                            let mut http1 = server.http_builder().http1();
                            http1
                                .timer(TokioTimer::new())
                                .header_read_timeout(HEADER_TIMEOUT)
                                .max_buf_size(READ_BUFFER);
                            server.handle(handle).serve(app).await
                        }
                        Err(error) => Err(error),
                    },
                };
                if let Err(error) = served {
                    tracing::error!(%error, "a listener has failed");
                }
            });
        }
        serving
    }
}

/// TLS with whatever certificate there is when a client comes.
fn tls(certificates: &Certificates) -> anyhow::Result<RustlsConfig> {
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificates.clone()));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(RustlsConfig::from_config(Arc::new(config)))
}

/// Listeners at work.
pub(crate) struct Serving {
    handle: Handle<SocketAddr>,
    tasks: JoinSet<()>,
    urls: Vec<String>,
}

impl Serving {
    /// Where they can be reached.
    pub(crate) fn urls(&self) -> &[String] {
        &self.urls
    }

    /// Takes no more connections, and lets answers under way finish within `patience`.
    pub(crate) async fn stop(mut self, patience: Duration) {
        self.handle.graceful_shutdown(Some(patience));
        while self.tasks.join_next().await.is_some() {}
    }
}
