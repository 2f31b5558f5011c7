//! The requests of one plugin.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinHandle;
use tower::{BoxError, Service, ServiceExt};
use tower_http::follow_redirect::FollowRedirect;

use super::redirect::Redirects;
use super::request::{self, Checked};
use super::resolve::Resolver;
use super::{Http, HttpError, MAX_BODY, MAX_OF_PLUGIN, MAX_OF_SERVER, Response, origin};
use crate::grants::{Denials, Grant, Grants};

/// The most headers of an answer, and the bytes that its head may take.
const MAX_HEADERS: usize = 128;
const MAX_HEAD: usize = 64 << 10;
/// How long connecting may take: the name's addresses, TCP and TLS.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection is kept that has nothing to do.
const IDLE: Duration = Duration::from_secs(15);
/// Connections to one host that are kept with nothing to do.
const IDLE_PER_HOST: usize = 4;
/// Connections are kept to so many origins. With one more, those that have nothing to do are closed.
const ORIGINS: usize = 16;

/// Makes the requests of one plugin.
pub(crate) struct PluginHttp {
    http: Arc<Http>,
    runtime: Handle,
    grants: Arc<Grants>,
    denials: Arc<Denials>,
    /// How long a request may take, to the last byte of its answer.
    time: Duration,
    room: Arc<Semaphore>,
    kept: Mutex<Kept>,
}

/// Connections that are kept, and where they lead.
struct Kept {
    connections: Connections,
    origins: HashSet<String>,
}

type Connections = Client<Connect, Full<Bytes>>;
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

impl PluginHttp {
    /// Requests to what `grants` grants, on the threads of `http`, each of which may take so much `time`.
    pub(crate) fn new(http: Arc<Http>, grants: Arc<Grants>, denials: Arc<Denials>, time: Duration) -> Self {
        let runtime = http.runtime.as_ref().expect("they are there as long as it is").handle().clone();
        let kept = Kept { connections: connections(&http, &grants), origins: HashSet::new() };
        let room = Arc::new(Semaphore::new(MAX_OF_PLUGIN));
        Self { http, runtime, grants, denials, time, room, kept: Mutex::new(kept) }
    }

    /// Sends a request. `done` is called when its answer is there, or it has failed.
    ///
    /// # Errors
    /// Where it cannot be sent or is not granted, or where there are too many.
    pub(crate) fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
        done: impl FnOnce() + Send + 'static,
    ) -> Result<Exchange, HttpError> {
        let Checked { url, request } = request::check(method, url, headers, body)?;
        if !self.grants.has_url(&url) {
            return Err(self.count(HttpError::NotGranted(origin(&url))));
        }
        let place = self.room.clone().try_acquire_owned();
        let place = place.map_err(|_| {
            HttpError::TooMany(format!("the plugin has {MAX_OF_PLUGIN} requests under way, as many as it may"))
        })?;
        let of_server = self.http.room.clone().try_acquire_owned();
        let of_server = of_server.map_err(|_| {
            HttpError::TooMany(format!(
                "the plugins of this server have {MAX_OF_SERVER} requests under way, as many as they may"
            ))
        })?;
        let service =
            self.connections(origin(&url)).map_err((|error| HttpError::of(&error)) as fn(legacy::Error) -> HttpError);
        let service = FollowRedirect::with_policy(service, Redirects::new(self.grants.clone()));
        let (time, denials) = (self.time, self.denials.clone());
        let (answer, answered) = oneshot::channel();
        let work = async move {
            let fetched = tokio::time::timeout(time, fetch(service, request)).await;
            let fetched = fetched.unwrap_or_else(|_| {
                Err(HttpError::Failed(format!("there is no whole answer after {} ms", time.as_millis())))
            });
            drop(of_server);
            let _ = answer.send(fetched.map_err(|error| count(&denials, error)));
            done();
        };
        Ok(Exchange { work: self.runtime.spawn(work), answered, _place: place })
    }

    fn count(&self, error: HttpError) -> HttpError {
        count(&self.denials, error)
    }

    /// The connections for a request to `origin`.
    fn connections(&self, origin: String) -> Connections {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.origins.contains(&origin) {
            if kept.origins.len() >= ORIGINS {
                *kept = Kept { connections: connections(&self.http, &self.grants), origins: HashSet::new() };
            }
            kept.origins.insert(origin);
        }
        kept.connections.clone()
    }
}

impl fmt::Debug for PluginHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginHttp").field("grants", &self.grants.http).finish_non_exhaustive()
    }
}

/// Counts what was denied.
fn count(denials: &Denials, error: HttpError) -> HttpError {
    match &error {
        HttpError::NotGranted(origin) => drop(denials.deny(Grant::Http, origin)),
        HttpError::Private(private) => {
            drop(denials.deny(Grant::Http, &format!("{} at {}", private.host, private.address)));
        }
        HttpError::Invalid(_) | HttpError::TooMany(_) | HttpError::Failed(_) | HttpError::Taken => {}
    }
    error
}

fn connections(http: &Http, grants: &Arc<Grants>) -> Connections {
    let mut tcp = HttpConnector::new_with_resolver(Resolver::new(http.lookup.clone(), grants.clone()));
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(http.tls.clone())
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .http1_max_buf_size(MAX_HEAD)
        .http1_max_headers(MAX_HEADERS)
        .build(Connect(connector))
}

async fn fetch<S>(service: S, request: http::Request<Full<Bytes>>) -> Result<Response, HttpError>
where
    S: Service<http::Request<Full<Bytes>>, Response = http::Response<hyper::body::Incoming>, Error = HttpError>,
{
    let answer = service.oneshot(request).await?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| HttpError::of(&*error))?;
    Ok(Response { status: head.status, headers: head.headers, body: body.to_bytes() })
}

/// Connects within [`CONNECT`].
#[derive(Clone)]
struct Connect(HttpsConnector<HttpConnector<Resolver>>);

impl Service<Uri> for Connect {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move {
            let connected = tokio::time::timeout(CONNECT, connecting).await;
            connected.unwrap_or_else(|_| Err(format!("there is no connection after {} s", CONNECT.as_secs()).into()))
        })
    }
}

/// A request under way. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Exchange {
    work: JoinHandle<()>,
    answered: oneshot::Receiver<Result<Response, HttpError>>,
    _place: OwnedSemaphorePermit,
}

impl Exchange {
    /// Its answer, once; none while it is not there.
    ///
    /// # Errors
    /// Where it has failed, and after the answer was taken.
    pub(crate) fn poll(&mut self) -> Result<Option<Response>, HttpError> {
        match self.answered.try_recv() {
            Ok(answer) => answer.map(Some),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Closed) => Err(HttpError::Taken),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.work.abort();
    }
}
