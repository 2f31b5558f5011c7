//! A viewer that keeps what it receives: this project's own client and draft 18, as a player would use them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use millrace_moq::negotiate::Protocol;
use millrace_moq::{Client, Limits, Stack, Trust};
use moq_transport::coding::{KeyValuePairs, TrackNamespace};
use moq_transport::data::FetchRecord;
use moq_transport::message::{FetchType, FilterType, SubscriptionFilter};
use moq_transport::serve::{Track, TrackReader, TrackReaderMode};
use moq_transport::session::{Fetch, Subscribe, Subscriber};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::capture::Recording;
use crate::wait::until;

/// The most of an object that is read at a time, in bytes.
const CHUNK: usize = 1 << 16;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// An object, by its group and its place therein.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// The group it belongs to.
    pub group: u64,
    /// Its place in the group.
    pub id: u64,
    /// All of it.
    pub payload: Bytes,
}

/// A viewer at work. It leaves when it is dropped.
#[derive(Debug)]
pub struct Viewer {
    runtime: Option<Runtime>,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The first catalog, as it came.
    catalog: Mutex<Option<Value>>,
    objects: Mutex<BTreeMap<(u64, u64), Bytes>>,
    /// Why it ended.
    end: Mutex<Option<String>>,
}

impl Viewer {
    /// Watches the first track of a broadcast with this role, `video` or `audio`, from the beginning of its current group.
    pub fn watch(url: &str, broadcast: &str, role: &'static str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("threads can be started");
        let (url, broadcast) = (url.to_owned(), broadcast.to_owned());
        let seen = Arc::new(Seen::default());
        let noted = seen.clone();
        // It ends with the runtime.
        runtime.spawn(async move {
            let end = view(&url, &broadcast, role, &noted).await;
            let end = end.err().map_or_else(|| "all was received".to_owned(), |failure| failure.to_string());
            *noted.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
        });
        Self { runtime: Some(runtime), seen }
    }

    /// The MSF catalog.
    ///
    /// # Panics
    /// Where there is none in time.
    pub fn catalog(&self) -> Value {
        self.until("a catalog", || self.seen.catalog.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Waits until so many groups are there whole, and gives all objects so far, in order.
    ///
    /// # Panics
    /// Where it ends by itself before.
    pub fn groups(&self, wanted: usize) -> Vec<Object> {
        self.until(&format!("{wanted} groups"), || {
            let objects = self.objects();
            let mut groups: Vec<_> = objects.iter().map(|object| object.group).collect();
            groups.dedup();
            // The last may go on.
            (groups.len() > wanted).then_some(objects)
        })
    }

    /// What has come so far, in order.
    pub fn objects(&self) -> Vec<Object> {
        let objects = self.seen.objects.lock().unwrap_or_else(PoisonError::into_inner);
        objects.iter().map(|(&(group, id), payload)| Object { group, id, payload: payload.clone() }).collect()
    }

    /// Why it has ended, if it has.
    pub fn end(&self) -> Option<String> {
        self.seen.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Objects as a file, behind the header that the catalog gives for this role.
    pub fn recording(&self, role: &str, objects: &[Object]) -> Recording {
        let header = header(&self.catalog(), role).expect("the catalog has the header of its tracks");
        let media = objects.iter().flat_map(|object| object.payload.iter().copied());
        Recording::keep(&header.into_iter().chain(media).collect::<Vec<_>>())
    }

    fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        until(what, || {
            let found = look();
            let ended = self.end().filter(|_| found.is_none());
            assert!(ended.is_none(), "the viewer ended before there was {what}: {}", ended.unwrap_or_default());
            found
        })
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // What still runs is ended at its next await.
            runtime.shutdown_background();
        }
    }
}

/// The name of the first track with this role.
fn name<'a>(catalog: &'a Value, role: &str) -> Option<&'a str> {
    catalog["tracks"].as_array()?.iter().find(|track| track["role"] == role)?["name"].as_str()
}

/// The CMAF header of the first track with this role.
fn header(catalog: &Value, role: &str) -> Option<Vec<u8>> {
    let track = catalog["tracks"].as_array()?.iter().find(|track| track["role"] == role)?;
    let data = catalog["initDataList"].as_array()?.iter().find(|data| data["id"] == track["initRef"])?;
    STANDARD.decode(data["data"].as_str()?).ok()
}

async fn view(url: &str, broadcast: &str, role: &str, seen: &Seen) -> Result<(), Failure> {
    let client = Client::new(Trust::Anyone, Limits::default())?.speaking(vec![Protocol::Transport]);
    let Stack::Transport { session, mut subscriber, .. } = client.connect(&url.parse()?).await?.stack else {
        return Err("another protocol was chosen than the one that was offered".into());
    };
    let watch = async {
        let (_catalog, mut catalogs) = join(&mut subscriber, broadcast, "catalog").await?;
        let first = catalogs.recv().await.ok_or("the catalog has no object")?;
        let catalog: Value = serde_json::from_slice(&first.payload)?;
        let track = name(&catalog, role).ok_or_else(|| format!("no {role} in {catalog:#}"))?.to_owned();
        *seen.catalog.lock().unwrap_or_else(PoisonError::into_inner) = Some(catalog);
        let (_track, mut objects) = join(&mut subscriber, broadcast, &track).await?;
        while let Some(Object { group, id, payload }) = objects.recv().await {
            seen.objects.lock().unwrap_or_else(PoisonError::into_inner).insert((group, id), payload);
        }
        Ok(())
    };
    tokio::select! {
        end = session.run() => Err(end.err().map_or_else(|| "the session has ended".into(), Failure::from)),
        end = watch => end,
    }
}

/// What a subscription needs to go on.
struct Joined {
    _subscription: Subscribe,
    _readers: JoinSet<Result<(), Failure>>,
}

/// Subscribes to a track from now on, and fetches what its current group has so far. Objects come as they arrive.
async fn join(
    subscriber: &mut Subscriber,
    broadcast: &str,
    track: &str,
) -> Result<(Joined, mpsc::Receiver<Object>), Failure> {
    let mut params = KeyValuePairs::default();
    params.set_subscription_filter(&SubscriptionFilter {
        filter_type: FilterType::LargestObject,
        start_location: None,
        end_group_id: None,
    })?;
    let (writer, reader) = Track::new(TrackNamespace::from_utf8_path(broadcast), track).produce();
    let subscription = subscriber.subscribe_open_with_params(writer, params).await?;
    let (sender, receiver) = mpsc::channel(64);
    let mut readers = JoinSet::new();
    let answer = subscription.subscribe_ok().ok_or("a subscription without an answer")?;
    if answer.params.largest_object()?.is_some() {
        let id = subscription.info.id;
        let fetch = subscriber.joining_fetch(FetchType::RelativeJoining, id, 0, KeyValuePairs::default()).await?;
        readers.spawn(fetched(fetch, sender.clone()));
    }
    readers.spawn(delivered(reader, sender));
    Ok((Joined { _subscription: subscription, _readers: readers }, receiver))
}

/// Reads the objects of a fetch.
async fn fetched(mut fetch: Fetch, sender: mpsc::Sender<Object>) -> Result<(), Failure> {
    fetch.ok().await?;
    while let Some(record) = fetch.next().await? {
        let FetchRecord::Object(object) = record else { continue };
        let mut payload = BytesMut::new();
        while let Some(chunk) = fetch.read_payload_chunk(CHUNK).await? {
            payload.extend_from_slice(&chunk);
        }
        sender.send(Object { group: object.group_id, id: object.object_id, payload: payload.freeze() }).await?;
    }
    Ok(())
}

/// Reads the objects of a subscription, of several groups at a time.
async fn delivered(reader: TrackReader, sender: mpsc::Sender<Object>) -> Result<(), Failure> {
    let TrackReaderMode::Subgroups(mut groups) = reader.mode().await? else {
        return Err("objects came otherwise than in subgroups".into());
    };
    let mut readers: JoinSet<Result<(), Failure>> = JoinSet::new();
    while let Some(mut group) = groups.next().await? {
        let sender = sender.clone();
        readers.spawn(async move {
            while let Some(mut object) = group.next().await? {
                let payload = object.read_all().await?;
                sender.send(Object { group: group.group_id, id: object.object_id, payload }).await?;
            }
            Ok(())
        });
    }
    while readers.join_next().await.is_some() {}
    Ok(())
}
