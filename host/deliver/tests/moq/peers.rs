//! A server of a bus, and clients of both stacks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use millrace_deliver::moq::{Moq, Settings};
use millrace_media::access::{self, Guard};
use millrace_media::{Access, Bus};
use millrace_moq::negotiate::Protocol;
use millrace_moq::{Certificates, Client, Endpoint, Limits, Stack, Trust};
use moq_net::track::Subscription;
use moq_transport::coding::{KeyValuePairs, TrackNamespace};
use moq_transport::serve::{ServeError, SubgroupReader, SubgroupsReader, Track, TrackReader, TrackReaderMode};
use moq_transport::session::{Publisher, Subscribe, Subscriber};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::source::Object;

/// Ends a task when it is dropped.
pub(crate) struct Owned(AbortHandle);

impl Owned {
    pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task).abort_handle())
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A task that can be stopped where it stands, with all that it holds, and go on.
pub(crate) struct Driven {
    goes: watch::Sender<bool>,
    _task: Owned,
}

impl Driven {
    fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        let (goes, mut told) = watch::channel(true);
        let task = Owned::spawn(async move {
            let mut task = std::pin::pin!(task);
            loop {
                let goes = *told.borrow_and_update();
                tokio::select! {
                    () = &mut task, if goes => return,
                    changed = told.changed() => if changed.is_err() { return },
                }
            }
        });
        Self { goes, _task: task }
    }

    /// From now on nothing is read and nothing answered, though the connection stays.
    pub(crate) fn stop(&self) {
        self.goes.send_replace(false);
    }

    /// All is read and answered again.
    pub(crate) fn go_on(&self) {
        self.goes.send_replace(true);
    }
}

/// A server that plays a bus out.
pub(crate) struct Server {
    pub(crate) moq: Arc<Moq>,
    trust: Trust,
    url: url::Url,
    limits: Limits,
    sessions: Arc<AtomicUsize>,
    _task: Owned,
}

impl Server {
    pub(crate) fn new(bus: Bus) -> Self {
        Self::with(bus, Settings::default(), Limits::default())
    }

    pub(crate) fn with(bus: Bus, settings: Settings, limits: Limits) -> Self {
        Self::guarded(bus, settings, limits, Access::default())
    }

    /// A server of those whom `access` allows.
    pub(crate) fn guarded(bus: Bus, settings: Settings, limits: Limits, access: Access) -> Self {
        let names = vec!["127.0.0.1".into()];
        let certificates = Certificates::development(names, SystemTime::now()).unwrap();
        let endpoint = Endpoint::bind("127.0.0.1:0".parse().unwrap(), &certificates, limits).unwrap();
        let url = format!("https://127.0.0.1:{}/", endpoint.address().unwrap().port()).parse().unwrap();
        let trust = Trust::Hashes(vec![certificates.hash().unwrap()]);
        let moq = Moq::new(bus, settings);
        let sessions = Arc::new(AtomicUsize::new(0));
        let task = Owned::spawn(accept(endpoint, moq.clone(), access, sessions.clone()));
        Self { moq, trust, url, limits, sessions, _task: task }
    }

    /// How many sessions there are.
    pub(crate) fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Connects a client of one protocol.
    async fn connect(&self, limits: Limits, protocol: Protocol) -> (Client, Stack) {
        let client = Client::new(self.trust.clone(), limits).unwrap().speaking(vec![protocol]);
        let session = client.connect(&self.url).await.unwrap();
        (client, session.stack)
    }

    /// A client of `moq-transport`.
    pub(crate) async fn transport(&self) -> TransportClient {
        self.transport_with(self.limits).await
    }

    pub(crate) async fn transport_with(&self, limits: Limits) -> TransportClient {
        let (client, stack) = self.connect(limits, Protocol::Transport).await;
        let Stack::Transport { session, subscriber, .. } = stack else { panic!("another stack") };
        let task = Driven::spawn(async move { drop(session.run().await) });
        TransportClient { subscriber, task, _client: client }
    }

    /// A client of `moq-net`.
    pub(crate) async fn net(&self) -> NetClient {
        self.net_with(self.limits).await
    }

    pub(crate) async fn net_with(&self, limits: Limits) -> NetClient {
        let (client, stack) = self.connect(limits, Protocol::all().next().unwrap()).await;
        let Stack::Net(connection) = stack else { panic!("another stack") };
        let (origin, driver) = moq_net::origin::Producer::new(moq_net::origin::Config::default());
        let moq = moq_net::Client::new().with_subscriber(origin.clone());
        let (session, run) = moq.connect(Instant::now(), connection).await.unwrap();
        let task = Driven::spawn(async move {
            tokio::join!(moq_net::time::run(driver), moq_net::time::run(run));
        });
        NetClient { origin, task, _session: session, _client: client }
    }
}

async fn accept(endpoint: Endpoint, moq: Arc<Moq>, access: Access, count: Arc<AtomicUsize>) {
    let mut sessions = JoinSet::new();
    while let Some(incoming) = endpoint.accept().await {
        let (moq, access, count) = (moq.clone(), access.clone(), count.clone());
        sessions.spawn(async move {
            let (session, _held) = incoming.session().await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            let client = Arc::new(access::Client::new("moq", session.remote.ip(), "", std::iter::empty()).unwrap());
            let guard = Guard::new(access, client);
            match session.stack {
                Stack::Transport { session, publisher, .. } => tokio::select! {
                    _ = session.run() => {}
                    () = moq.serve(publisher, guard) => {}
                },
                Stack::Net(connection) if !guard.is_open() => {
                    let (origin, work) = moq.guarded_origin(guard, "");
                    let server = moq_net::Server::new().with_publisher(origin);
                    let (_session, run) = server.accept(Instant::now(), connection).await.unwrap();
                    tokio::select! {
                        _ = moq_net::time::run(run) => {}
                        _ = work => {}
                    }
                }
                Stack::Net(connection) => {
                    let server = moq_net::Server::new().with_publisher(moq.origin());
                    let (_session, run) = server.accept(Instant::now(), connection).await.unwrap();
                    moq_net::time::run(run).await;
                }
            }
            count.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// A client of `moq-transport`.
pub(crate) struct TransportClient {
    pub(crate) subscriber: Subscriber,
    pub(crate) task: Driven,
    _client: Client,
}

/// A subscription that was accepted.
pub(crate) struct Subscription18 {
    pub(crate) request: Subscribe,
    reader: TrackReader,
    /// Known when the first has come.
    groups: Option<SubgroupsReader>,
}

impl TransportClient {
    pub(crate) async fn subscribe(&mut self, namespace: &str, name: &str) -> Result<Subscription18, ServeError> {
        self.subscribe_with(namespace, name, KeyValuePairs::default()).await
    }

    pub(crate) async fn subscribe_with(
        &mut self,
        namespace: &str,
        name: &str,
        parameters: KeyValuePairs,
    ) -> Result<Subscription18, ServeError> {
        let (writer, reader) = Track::new(TrackNamespace::from_utf8_path(namespace), name).produce();
        let request = self.subscriber.subscribe_open_with_params(writer, parameters).await?;
        Ok(Subscription18 { request, reader, groups: None })
    }
}

impl Subscription18 {
    /// The next group; none after the end of the track.
    pub(crate) async fn group(&mut self) -> Option<SubgroupReader> {
        if self.groups.is_none() {
            let TrackReaderMode::Subgroups(groups) = self.reader.mode().await.ok()? else { return None };
            self.groups = Some(groups);
        }
        self.groups.as_mut()?.next().await.ok().flatten()
    }

    /// The next group's number and the first `count` of its objects.
    pub(crate) async fn read(&mut self, count: usize) -> (u64, Vec<Object>) {
        let mut group = self.group().await.expect("the track goes on");
        let mut objects = Vec::new();
        while objects.len() < count {
            let object = group.read_next().await.unwrap().expect("the group goes on");
            objects.push(Object(object.to_vec()));
        }
        (group.info.group_id, objects)
    }
}

/// A client of `moq-net`.
pub(crate) struct NetClient {
    pub(crate) origin: moq_net::origin::Producer,
    pub(crate) task: Driven,
    _session: moq_net::Session,
    _client: Client,
}

impl NetClient {
    pub(crate) async fn broadcast(&self, name: &str) -> moq_net::broadcast::Consumer {
        self.origin.consume().routed_broadcast(name).await.unwrap()
    }

    /// A subscription that bears groups that are late.
    pub(crate) async fn subscribe(
        &self,
        name: &str,
        track: &str,
    ) -> Result<moq_net::track::Subscriber, moq_net::Error> {
        let broadcast = self.broadcast(name).await;
        broadcast
            .track(track)?
            .subscribe(Subscription::default().with_max_age(std::time::Duration::from_secs(30)))
            .await
    }
}

/// The next group's number and the first `count` of its objects.
pub(crate) async fn read(track: &mut moq_net::track::Subscriber, count: usize) -> (u64, Vec<Object>) {
    let mut group = track.recv_group().await.unwrap().expect("the track goes on");
    let mut objects = Vec::new();
    while objects.len() < count {
        let object = object(&mut group).await.expect("the group goes on");
        objects.push(Object(object.to_vec()));
    }
    (group.sequence, objects)
}

/// The next object of a group; none after its end.
pub(crate) async fn object(group: &mut moq_net::group::Consumer) -> Option<Bytes> {
    let mut frame = group.next_frame().await.unwrap()?;
    Some(frame.read_all().await.unwrap())
}

/// A session of `moq-transport` with a publisher on one side and a subscriber, which plays the relay, on the other.
pub(crate) async fn relayed(moq: Arc<Moq>) -> (Subscriber, Vec<Owned>) {
    let certificates = Certificates::development(vec!["127.0.0.1".into()], SystemTime::now()).unwrap();
    let limits = Limits::default();
    let endpoint = Endpoint::bind("127.0.0.1:0".parse().unwrap(), &certificates, limits).unwrap();
    let url = format!("moqt://127.0.0.1:{}/", endpoint.address().unwrap().port()).parse().unwrap();
    let trust = Trust::Hashes(vec![certificates.hash().unwrap()]);
    let client = Client::new(trust, limits).unwrap().speaking(vec![Protocol::Transport]);
    let (served, connected) =
        tokio::join!(async { endpoint.accept().await.unwrap().session().await.unwrap() }, async {
            client.connect(&url).await.unwrap()
        },);
    let Stack::Transport { session: relay, subscriber, .. } = served.0.stack else { panic!("another stack") };
    let Stack::Transport { session, publisher, .. } = connected.stack else { panic!("another stack") };
    let publisher: Publisher = publisher;
    let relay = Owned::spawn(async move {
        let _held = (endpoint, served.1);
        drop(relay.run().await);
    });
    let origin = Owned::spawn(async move {
        let _client = client;
        tokio::select! {
            _ = session.run() => {}
            () = moq.announce(publisher) => {}
        }
    });
    (subscriber, vec![relay, origin])
}
