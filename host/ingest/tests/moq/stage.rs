//! A server on a port of its own, publishers of both stacks, and what to expect on the bus.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use millrace_ingest::moq::{Grant, Ingest, Settings};
use millrace_media::access::{self, Guard};
use millrace_media::broadcast::State;
use millrace_media::clock::Clock;
use millrace_media::track::Kind;
use millrace_media::{Access, Broadcast, BroadcastName, Bus, Fragment, bus};
use millrace_moq::negotiate::Protocol;
use millrace_moq::{Certificates, Client, Endpoint, Limits, Session, Stack, Trust};
use moq_transport::coding::TrackNamespace;
use moq_transport::serve::{Subgroup, SubgroupsWriter, Tracks, TracksReader, TracksWriter};
use moq_transport::session::Publisher;
use tokio::task::JoinSet;

use crate::native::Native;

/// Longer than anything takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Stage {
    pub(crate) bus: Bus,
    pub(crate) ingest: Arc<Ingest>,
    trust: Trust,
    port: u16,
    _tasks: JoinSet<()>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default(), Grant::Below(String::new()))
    }

    pub(crate) fn with(settings: Settings, grant: Grant) -> Self {
        Self::guarded(settings, grant, Access::default())
    }

    /// A server where `access` is asked about each broadcast.
    pub(crate) fn guarded(settings: Settings, grant: Grant, access: Access) -> Self {
        Self::on(Bus::new(bus::Settings::default(), Arc::new(Clock::system())), settings, grant, access)
    }

    /// With a stage before the bus.
    pub(crate) fn filtered(native: Native) -> Self {
        let bus = Bus::with_stage(bus::Settings::default(), Arc::new(Clock::system()), Arc::new(native));
        Self::on(bus, Settings::default(), Grant::Below(String::new()), Access::default())
    }

    fn on(bus: Bus, settings: Settings, grant: Grant, access: Access) -> Self {
        let ingest = Ingest::new(bus.clone(), settings);
        let certificates = Certificates::development(vec!["127.0.0.1".into()], SystemTime::now()).unwrap();
        let endpoint = Endpoint::bind("127.0.0.1:0".parse().unwrap(), &certificates, Limits::default()).unwrap();
        let port = endpoint.address().unwrap().port();
        let trust = Trust::Hashes(vec![certificates.hash().unwrap()]);
        let mut tasks = JoinSet::new();
        let served = ingest.clone();
        tasks.spawn(async move {
            let mut sessions = JoinSet::new();
            while let Some(incoming) = endpoint.accept().await {
                let (ingest, grant, access) = (served.clone(), grant.clone(), access.clone());
                sessions.spawn(async move {
                    let (session, _held) = incoming.session().await.unwrap();
                    let shown = [("host", session.authority.as_deref().unwrap_or_default())].into_iter();
                    let client = access::Client::new("moq", session.remote.ip(), "", shown).unwrap();
                    serve(session, &ingest, grant, Guard::new(access, Arc::new(client))).await;
                });
            }
        });
        Self { bus, ingest, trust, port, _tasks: tasks }
    }

    async fn connect(&self, protocols: Vec<Protocol>) -> Session {
        let url = format!("https://127.0.0.1:{}/", self.port).parse().unwrap();
        let client = Client::new(self.trust.clone(), Limits::default()).unwrap().speaking(protocols);
        within(client.connect(&url)).await.unwrap()
    }

    /// A publisher that speaks through `moq-net`.
    pub(crate) async fn net(&self) -> Net {
        let Stack::Net(transport) = self.connect(Protocol::all().collect()).await.stack else {
            panic!("another stack")
        };
        let (origin, driver) = moq_net::origin::Producer::new(moq_net::origin::Config::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(moq_net::time::run(driver).await) });
        let client = moq_net::Client::new().with_publisher(&origin);
        let (session, driver) = within(client.connect(Instant::now(), transport)).await.unwrap();
        tasks.spawn(async move { drop(moq_net::time::run(driver).await) });
        Net { origin, _session: session, _tasks: tasks }
    }

    /// A publisher that speaks through `moq-transport`.
    pub(crate) async fn ietf(&self) -> Ietf {
        let session = self.connect(vec![Protocol::Transport]).await;
        let Stack::Transport { session, publisher, .. } = session.stack else { panic!("another stack") };
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(session.run().await) });
        Ietf { publisher, tasks }
    }

    pub(crate) async fn broadcast(&self, name: &str) -> Broadcast {
        let name = BroadcastName::new(name).unwrap();
        self.until(|| self.bus.broadcast(&name)).await
    }

    /// Waits until the bus shows what is asked for.
    pub(crate) async fn until<T>(&self, mut find: impl FnMut() -> Option<T>) -> T {
        let mut changes = self.bus.changes();
        within(async {
            loop {
                if let Some(found) = find() {
                    return found;
                }
                changes.changed().await.unwrap();
            }
        })
        .await
    }

    pub(crate) async fn until_state(&self, broadcast: &Broadcast, wanted: impl Fn(State) -> bool) {
        self.until(|| wanted(broadcast.state()).then_some(())).await;
    }

    /// Waits until a track holds `count` samples, and gives them with their fragments.
    pub(crate) async fn samples(&self, broadcast: &Broadcast, track: &str, count: usize) -> Vec<Vec<u8>> {
        self.fragments(broadcast, track, count).await;
        samples(&sound(broadcast, track))
    }

    /// Waits until a track holds `count` samples.
    pub(crate) async fn fragments(&self, broadcast: &Broadcast, track: &str, count: usize) -> Vec<Fragment> {
        use millrace_media::track::{Event, Start};
        let track = self.until(|| broadcast.track(track)).await;
        let mut consumer = track.subscribe(Start::OldestGroup);
        let mut fragments = Vec::new();
        within(async {
            let mut seen = 0;
            while seen < count {
                if let Event::Fragment(fragment) = consumer.next().await.expect("the track goes on") {
                    seen += fragment.samples.len();
                    fragments.push(fragment);
                }
            }
        })
        .await;
        fragments
    }

    /// Waits until it is known that the newest group of a track is complete.
    pub(crate) async fn group_end(&self, broadcast: &Broadcast, track: &str) {
        use millrace_media::track::{Event, Start};
        let mut consumer = broadcast.track(track).unwrap().subscribe(Start::NewestGroup);
        within(async { while !matches!(consumer.next().await.expect("the track goes on"), Event::GroupEnd) {} }).await;
    }
}

/// As the server does it.
async fn serve(session: Session, ingest: &Arc<Ingest>, grant: Grant, guard: Guard) {
    match session.stack {
        Stack::Transport { session, subscriber, .. } => {
            tokio::select! {
                _ = session.run() => {}
                () = ingest.receive(subscriber, grant, guard) => {}
            }
        }
        Stack::Net(transport) => {
            let (origin, work) = ingest.session(grant, guard);
            let server = moq_net::Server::new().with_subscriber(origin);
            let (_session, driver) = server.accept(Instant::now(), transport).await.unwrap();
            tokio::select! {
                _ = moq_net::time::run(driver) => {}
                () = work => {}
            }
        }
    }
}

/// A session of `moq-net`. Dropping it breaks its connection.
pub(crate) struct Net {
    origin: moq_net::origin::Producer,
    _session: moq_net::Session,
    _tasks: JoinSet<()>,
}

impl Net {
    /// A broadcast, to be announced once its tracks are there.
    pub(crate) fn broadcast(&self, path: &str) -> moq_net::broadcast::Producer {
        self.origin.create_broadcast(path).unwrap()
    }
}

/// A track of `moq-net` in which everything has been written that is to be.
pub(crate) fn net_track(
    broadcast: &moq_net::broadcast::Producer,
    name: &str,
    groups: &[Vec<Bytes>],
) -> moq_net::track::Producer {
    let track = broadcast.create_track(name, None).unwrap();
    groups.iter().for_each(|group| net_group(&track, group));
    track
}

/// Writes a group, and ends it.
pub(crate) fn net_group(track: &moq_net::track::Producer, objects: &[Bytes]) {
    let mut group = track.append_group().unwrap();
    for object in objects {
        group.write_frame(moq_net::Timestamp::now(), object.clone()).unwrap();
    }
    group.finish().unwrap();
}

/// A session of `moq-transport`. Dropping it breaks its connection.
pub(crate) struct Ietf {
    pub(crate) publisher: Publisher,
    tasks: JoinSet<()>,
}

impl Ietf {
    /// A namespace, to be announced or pushed. The tracks that it is asked for and does not have are not there.
    pub(crate) fn namespace(&self, path: &str) -> (TracksWriter, TracksReader) {
        let (writer, _, reader) = Tracks::new(TrackNamespace::from_utf8_path(path)).produce();
        (writer, reader)
    }

    /// Announces a namespace for as long as the session lasts.
    pub(crate) fn announce(&mut self, tracks: TracksReader) {
        let mut publisher = self.publisher.clone();
        self.tasks.spawn(async move { drop(publisher.publish_namespace(tracks).await) });
    }

    /// Pushes a track for as long as the session lasts.
    pub(crate) async fn push(&mut self, tracks: &mut TracksReader, name: &str) {
        let namespace = tracks.namespace.clone();
        let track = tracks.get_track_reader(&namespace, name).unwrap();
        let published = within(self.publisher.publish(track, Default::default())).await.unwrap();
        self.tasks.spawn(async move { drop(published.serve().await) });
    }
}

/// A track of `moq-transport` in which everything has been written that is to be.
pub(crate) fn ietf_track(tracks: &mut TracksWriter, name: &str, groups: &[Vec<Bytes>]) -> SubgroupsWriter {
    let mut track = tracks.create(name).unwrap().subgroups().unwrap();
    (0..).zip(groups).for_each(|(number, group)| ietf_group(&mut track, number, group));
    track
}

/// Writes a group, and ends it.
pub(crate) fn ietf_group(track: &mut SubgroupsWriter, group_id: u64, objects: &[Bytes]) {
    let mut group = track.create(Subgroup { group_id, subgroup_id: 0, priority: 127 }).unwrap();
    objects.iter().for_each(|object| group.write(object.clone()).unwrap());
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

/// The bytes of every sample.
pub(crate) fn samples(fragments: &[Fragment]) -> Vec<Vec<u8>> {
    let of = |fragment: &Fragment| -> Vec<Vec<u8>> {
        let bytes = |s: &millrace_media::Sample| fragment.payload.contiguous(s.offset, s.size).unwrap().to_vec();
        fragment.samples.iter().map(bytes).collect()
    };
    fragments.iter().flat_map(of).collect()
}

/// What a track holds, after checking that it can be decoded: its groups begin with keyframes and have no holes, and the header
/// describes it.
pub(crate) fn sound(broadcast: &Broadcast, name: &str) -> Vec<Fragment> {
    let track = broadcast.track(name).unwrap_or_else(|| panic!("no {name}: {:?}", broadcast.tracks()));
    let fragments = track.held();
    let is_video = track.info().unwrap().kind() == Kind::Video;
    for pair in fragments.windows(2) {
        let follows = pair[0].decode_time + pair[0].duration == pair[1].decode_time;
        assert!(pair[1].starts_group() || follows, "a hole in a group of {name}: {:?}", pair[1].place());
    }
    for fragment in &fragments {
        assert!(!fragment.starts_group() || fragment.marks.keyframe || !is_video, "{name}: {:?}", fragment.place());
    }
    let header = millrace_cmaf::describe(&track.info().unwrap().init).unwrap();
    assert_eq!(header.info.codec, track.info().unwrap().codec);
    fragments
}
