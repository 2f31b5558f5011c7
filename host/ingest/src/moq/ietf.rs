//! Tracks as `moq-transport` reads them: subscribed to, or pushed by the publisher (PUBLISH).

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_media::Intake;
use moq_transport::coding::{KeyValuePair, KeyValuePairs, TrackName, TrackNamespace, Value};
use moq_transport::data::{ExtensionHeaders, FetchRecord, ObjectStatus};
use moq_transport::message::FetchType;
use moq_transport::serve::{SubgroupReader, SubgroupsReader, Track, TrackReader, TrackReaderMode};
use moq_transport::session::{PublishReceived, PublishedNamespace, Subscribe, Subscriber};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::order::{OVERHEAD, Object, Start};
use super::remote::{Bounds, Broken, Found};

/// How long a track may be on its way as PUBLISH before it is subscribed to: a track has one subscription, and a publisher that
/// pushes gives up where its own is refused.
const PUSHED_FIRST: Duration = Duration::from_millis(100);
/// The same, once something of the namespace has been pushed.
const PUSHED_SURELY: Duration = Duration::from_secs(1);
/// How long a pushed track may wait for a catalog that names it.
const OFFERED: Duration = Duration::from_secs(10);
/// How long is waited for what came before a subscription: not every publisher answers FETCH.
const FETCH: Duration = Duration::from_secs(5);

/// What a publisher says of one namespace.
pub(super) struct Namespace {
    subscriber: Subscriber,
    name: TrackNamespace,
    state: Mutex<State>,
    /// Something else holds.
    changed: watch::Sender<()>,
}

struct State {
    /// Something is about to be said.
    expected: bool,
    /// What is said now comes too late.
    over: bool,
    /// PUBLISH_NAMESPACE: its tracks can be subscribed to.
    announced: Option<Arc<PublishedNamespace>>,
    /// PUBLISH, by the track's name.
    pushed: HashMap<TrackName, Pushed>,
}

/// A track of a PUBLISH.
enum Pushed {
    /// It has not been answered, and is refused then.
    Offered(Box<PublishReceived>, Instant),
    /// It comes.
    Taken(Arc<PublishReceived>, TrackReader),
}

impl Namespace {
    /// One of which something is about to be said.
    pub(super) fn new(subscriber: Subscriber, name: TrackNamespace) -> Self {
        let state = State { expected: true, over: false, announced: None, pushed: HashMap::new() };
        Self { subscriber, name, state: Mutex::new(state), changed: watch::Sender::new(()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is about to be said of it: until then it is not [gone](Self::gone). False where it is already.
    pub(super) fn expect(&self) -> bool {
        let mut state = self.state();
        state.expected = !state.over;
        state.expected
    }

    /// Nothing that is said of it from here on counts.
    pub(super) fn give_up(&self) {
        self.state().over = true;
    }

    /// The publisher has announced it.
    pub(super) fn announce(&self, mut announced: PublishedNamespace) {
        let given = announced.ok();
        let mut state = self.state();
        state.expected = false;
        match given {
            Ok(()) => state.announced = Some(Arc::new(announced)),
            Err(error) => tracing::debug!(%error, namespace = %self.name, "the announcement is gone"),
        }
        self.changed.send_replace(());
    }

    /// The publisher would push a track of it. It is let to once the track is [opened](Self::open). At most `limit`.
    pub(super) fn push(&self, received: PublishReceived, limit: usize) {
        let name = received.name().clone();
        let mut state = self.state();
        state.expected = false;
        if state.pushed.len() >= limit && !state.pushed.contains_key(&name) {
            tracing::warn!(namespace = %self.name, track = %name, limit, "one track more than there may be is refused");
        } else {
            state.pushed.insert(name, Pushed::Offered(Box::new(received), Instant::now() + OFFERED));
        }
        self.changed.send_replace(());
    }

    /// Waits until the publisher has taken back all that it said.
    pub(super) async fn gone(&self) {
        let mut changes = self.changed.subscribe();
        loop {
            changes.mark_unchanged();
            let (announced, taken, offered) = self.state().said();
            let over = async {
                // Whatever the reason is, it is over.
                if let Some(announced) = announced {
                    let _ = announced.closed().await;
                }
                for received in taken {
                    let _ = received.closed().await;
                }
                if offered.is_some() {
                    std::future::pending().await
                }
            };
            tokio::select! {
                () = over => {
                    if self.end(&changes) || changes.changed().await.is_err() {
                        return;
                    }
                }
                changed = changes.changed() => if changed.is_err() { return },
                () = sleep_until(offered.unwrap_or_else(Instant::now)), if offered.is_some() => {}
            }
        }
    }

    /// Nothing of it holds any more, unless something is said at the same time.
    fn end(&self, changes: &watch::Receiver<()>) -> bool {
        let mut state = self.state();
        state.over = !state.expected && !changes.has_changed().unwrap_or_default();
        state.over
    }

    /// Reads a track that is pushed, or subscribes to it. Gives the streams, and what came before where that has to be asked for.
    pub(super) async fn open(
        self: &Arc<Self>,
        track: &str,
        start: Start,
        bounds: Bounds,
    ) -> Result<(Groups, Option<impl Future<Output = Vec<Object>> + Send + use<>>), String> {
        let name = TrackName::from(track);
        if let Some((received, reader)) = self.pushed(&name).await {
            return Ok((Groups::new(reader, Hold::Pushed(received)), None));
        }
        let (writer, reader) = Track::new(self.name.clone(), name).produce();
        let mut subscriber = self.subscriber.clone();
        let subscription = subscriber.subscribe_open(writer).await.map_err(|error| error.to_string())?;
        let largest = subscription.subscribe_ok().and_then(|ok| ok.params.largest_object().ok().flatten());
        let id = subscription.info.id;
        let earlier = (start == Start::Group && largest.is_some()).then(|| fetch(subscriber, id, bounds));
        Ok((Groups::new(reader, Hold::Subscribed(Box::new(subscription))), earlier))
    }

    /// The track as it is pushed; none where it has to be subscribed to.
    async fn pushed(&self, name: &TrackName) -> Option<(Arc<PublishReceived>, TrackReader)> {
        let mut changes = self.changed.subscribe();
        let (first, surely) = (Instant::now() + PUSHED_FIRST, Instant::now() + PUSHED_SURELY);
        loop {
            let deadline = {
                let mut state = self.state();
                if let Some(taken) = state.take(name) {
                    return Some(taken);
                }
                let nothing_pushed = state.pushed.is_empty();
                state.announced.is_some().then_some(if nothing_pushed { first } else { surely })
            };
            let changed = async { changes.changed().await.is_ok() };
            let goes_on = match deadline {
                Some(deadline) => tokio::time::timeout_at(deadline, changed).await.unwrap_or(false),
                // It can only be pushed.
                None => changed.await,
            };
            if !goes_on {
                return None;
            }
        }
    }
}

impl State {
    /// What holds: the announcement, the pushed tracks that come, and when to look again for those that nobody has asked for.
    fn said(&mut self) -> (Option<Arc<PublishedNamespace>>, Vec<Arc<PublishReceived>>, Option<Instant>) {
        let now = Instant::now();
        self.pushed.retain(|_, pushed| !matches!(pushed, Pushed::Offered(_, until) if *until <= now));
        let taken = self.pushed.values().filter_map(|pushed| match pushed {
            Pushed::Taken(received, _) => Some(received.clone()),
            Pushed::Offered(..) => None,
        });
        let offered = self.pushed.values().filter_map(|pushed| match pushed {
            Pushed::Offered(_, until) => Some(*until),
            Pushed::Taken(..) => None,
        });
        (self.announced.clone(), taken.collect(), offered.min())
    }

    /// Lets the publisher push a track, if it would and has not ended it.
    fn take(&mut self, name: &TrackName) -> Option<(Arc<PublishReceived>, TrackReader)> {
        let (received, reader) = match self.pushed.remove(name)? {
            Pushed::Offered(mut received, _) => {
                let reader = received.ok(true).ok()?;
                (Arc::new(*received), reader)
            }
            Pushed::Taken(received, reader) => (received, reader),
        };
        if reader.is_closed() {
            return None;
        }
        self.pushed.insert(name.clone(), Pushed::Taken(received.clone(), reader.clone()));
        Some((received, reader))
    }
}

/// What there is of the group in which a subscription begins, up to where it does. Nothing where the publisher cannot say.
async fn fetch(mut subscriber: Subscriber, subscription: u64, bounds: Bounds) -> Vec<Object> {
    let mut objects = Vec::new();
    let read = async {
        let params = KeyValuePairs::default();
        let mut fetch = subscriber.joining_fetch(FetchType::RelativeJoining, subscription, 0, params).await.ok()?;
        let mut left = u64::from(bounds.object);
        while let Some(record) = fetch.next().await.ok()? {
            let FetchRecord::Object(object) = record else {
                left = left.checked_sub(OVERHEAD)?;
                continue;
            };
            left = left.checked_sub(kept(object.payload_length, &object.extension_headers))?;
            let mut payload = Intake::default();
            while let Some(chunk) = fetch.read_payload_chunk(usize::MAX).await.ok()? {
                payload.push(chunk).then_some(())?;
            }
            objects.push(Object { group: object.group_id, id: object.object_id, payload: payload.finish() });
        }
        Some(())
    };
    if tokio::time::timeout(FETCH, read).await.ok().flatten().is_none() {
        tracing::debug!(subscription, "what came before a subscription is not to be had");
    }
    objects
}

/// What keeps a track coming.
enum Hold {
    Subscribed(#[expect(dead_code, reason = "dropping it ends the subscription")] Box<Subscribe>),
    Pushed(#[expect(dead_code, reason = "dropping it ends the subscription")] Arc<PublishReceived>),
}

/// The streams of a track as they come.
pub(super) struct Groups {
    track: TrackReader,
    subgroups: Option<SubgroupsReader>,
    hold: Hold,
}

impl Groups {
    fn new(track: TrackReader, hold: Hold) -> Self {
        Self { track, subgroups: None, hold }
    }

    /// The publisher pushes the track: it cannot be asked to stop.
    pub(super) fn is_pushed(&self) -> bool {
        matches!(self.hold, Hold::Pushed(_))
    }

    /// The next one; none once the track is over.
    pub(super) async fn next(&mut self) -> Option<SubgroupReader> {
        let subgroups = match &mut self.subgroups {
            Some(subgroups) => subgroups,
            None => match self.track.mode().await {
                Ok(TrackReaderMode::Subgroups(subgroups)) => self.subgroups.insert(subgroups),
                Ok(_) => {
                    tracing::warn!(track = %self.track.name, "a track in datagrams is not taken: objects have to come in streams");
                    return None;
                }
                Err(error) => {
                    tracing::debug!(%error, track = %self.track.name, "a track has ended");
                    return None;
                }
            },
        };
        match subgroups.next().await {
            Ok(subgroup) => subgroup,
            Err(error) => {
                tracing::debug!(%error, track = %self.track.name, "a track has ended");
                None
            }
        }
    }
}

/// What an object takes for as long as it is kept, in bytes.
fn kept(payload: u64, properties: &ExtensionHeaders) -> u64 {
    let property = |value: &Value| match value {
        Value::IntValue(_) => 0,
        Value::BytesValue(bytes) => bytes.len() as u64,
    };
    // Each has a key and a value beside its bytes.
    let each = size_of::<KeyValuePair>() as u64;
    let properties = properties.0.iter().map(|pair| each + property(&pair.value));
    properties.fold(payload.saturating_add(OVERHEAD), u64::saturating_add)
}

/// The next object of a stream.
pub(super) async fn object(subgroup: &mut SubgroupReader, limit: u32) -> Result<Option<Found>, Broken> {
    let broke = |error: moq_transport::serve::ServeError| Broken::Off(error.to_string());
    let Some(mut object) = subgroup.next().await.map_err(broke)? else { return Ok(None) };
    let kept = kept(object.size as u64, &object.extension_headers);
    if object.status != ObjectStatus::NormalObject {
        return Ok(Some(Found { object: None, kept }));
    }
    let too_large = Broken::TooLarge { size: object.size as u64, limit };
    if u32::try_from(object.size).map_or(true, |size| size > limit) {
        return Err(too_large);
    }
    let mut payload = Intake::default();
    while let Some(chunk) = object.read().await.map_err(broke)? {
        if !payload.push(chunk) {
            return Err(too_large);
        }
    }
    Ok(Some(Found { object: Some((object.object_id, payload.finish())), kept }))
}
