//! Everything that is served, by name, kept up with the bus.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use millrace_media::access::{Action, Admission, Denied, Guard};
use millrace_media::track::Track;
use millrace_media::{Broadcast, BroadcastName, Bus, Time};
use millrace_supervise as supervise;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use super::Settings;
use super::catalog::{Editions, Form, Numbers};
use super::events::Timeline;
use super::meters::Meters;
use super::net;
use super::view::View;

/// How often it is looked at what a catalog says of a track that only shows as media comes.
const MEASURED: Duration = Duration::from_secs(1);
/// How often fragments are looked at for events: a fragment wakes nobody for it.
const EVENTS: Duration = Duration::from_millis(100);

/// What sessions and tasks share.
pub(super) struct Shared {
    pub(super) bus: Bus,
    pub(super) settings: Settings,
    pub(super) origin: moq_net::origin::Producer,
    pub(super) transport: Arc<Meters>,
    net: Arc<Meters>,
    entries: Mutex<BTreeMap<BroadcastName, Entry>>,
    /// Counts the changes to the names.
    names: watch::Sender<u64>,
    /// Counts the changes to what is served under them, the names among it.
    served: watch::Sender<u64>,
    numbers: Numbers,
    tasks: Mutex<JoinSet<()>>,
}

/// What is served under one name. When it is dropped, those who read its editions know that it is gone.
struct Entry {
    view: View,
    editions: watch::Sender<Editions>,
}

/// What a track name stands for.
pub(super) enum Source {
    /// A track of the bus, while the name that it was found under is served.
    Media(Track, watch::Receiver<Editions>),
    /// A catalog.
    Catalog(Form, watch::Receiver<Editions>),
}

impl Source {
    /// The track called `name` of a view.
    pub(super) fn find(view: &View, editions: &watch::Receiver<Editions>, name: &str) -> Option<Self> {
        match Form::of(name) {
            Some(Form::Events) if view.track(name).is_some() => Some(Self::Media(view.track(name)?, editions.clone())),
            Some(form) => Some(Self::Catalog(form, editions.clone())),
            None => Some(Self::Media(view.track(name)?, editions.clone())),
        }
    }
}

/// Waits until what `editions` are of is served no longer.
pub(super) async fn gone(editions: &mut watch::Receiver<Editions>) {
    while editions.changed().await.is_ok() {}
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(bus: Bus, settings: Settings, origin: moq_net::origin::Producer) -> Self {
        Self {
            bus,
            settings,
            origin,
            transport: Arc::new(Meters::new("moq-transport")),
            net: Arc::new(Meters::new("moq-net")),
            entries: Mutex::default(),
            names: watch::Sender::new(0),
            served: watch::Sender::new(0),
            numbers: Numbers::default(),
            tasks: Mutex::default(),
        }
    }

    /// Runs a task until it ends, or until [`Shared::stop`].
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task)
    }

    /// Ends every task. They hold what is here, so that nothing else would.
    pub(super) fn stop(&self) {
        lock(&self.tasks).abort_all();
    }

    /// The names that are served now.
    pub(super) fn names(&self) -> Vec<BroadcastName> {
        lock(&self.entries).keys().cloned().collect()
    }

    /// True of a name that is served now.
    pub(super) fn has(&self, name: &BroadcastName) -> bool {
        lock(&self.entries).contains_key(name)
    }

    /// Asks whether a client may play what is served under a name. Gives the name of what it gets. A view is played by whoever may play
    /// its broadcast, and is that rung of what it is allowed.
    pub(super) async fn admit(
        &self,
        guard: &Guard,
        name: &BroadcastName,
    ) -> Result<(BroadcastName, Admission), Denied> {
        let (broadcast, rung) = {
            let entries = lock(&self.entries);
            let view = entries.get(name).map(|entry| &entry.view);
            (view.map_or(name, |view| view.broadcast.name()).clone(), view.and_then(View::rung).cloned())
        };
        let admission = guard.admit(Action::Play, &broadcast).await?;
        let allowed = admission.allowed();
        Ok((rung.map_or_else(|| allowed.clone(), |rung| allowed.view(&rung)), admission))
    }

    /// Changes whenever a name comes or goes.
    pub(super) fn name_changes(&self) -> watch::Receiver<u64> {
        self.names.subscribe()
    }

    /// Changes whenever a name or something under one comes or goes.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.served.subscribe()
    }

    /// What `track` stands for under a name, also where that came a moment ago.
    pub(super) fn source(&self, name: &str, track: &str) -> Option<Source> {
        let name = BroadcastName::new(name).ok()?;
        if !self.has(&name) {
            let parent = name.split_last().map(|(parent, _)| parent);
            let known = [Some(name.clone()), parent].into_iter().flatten();
            known.filter_map(|name| self.bus.broadcast(&name)).for_each(|broadcast| self.follow(&broadcast, None));
        }
        let (view, editions) = {
            let entries = lock(&self.entries);
            let entry = entries.get(&name)?;
            (entry.view.clone(), entry.editions.subscribe())
        };
        Source::find(&view, &editions, track)
    }

    /// Brings what is served up to what a broadcast is now, and to its `events` where they are known.
    fn follow(&self, broadcast: &Broadcast, events: Option<&Bytes>) {
        let unix = self.bus.clock().now().unix;
        let mut entries = lock(&self.entries);
        // Looked up under the lock: an older list must not undo what a newer one has brought.
        let is_known = self.bus.broadcast(broadcast.name()).is_some_and(|known| known.is_same(broadcast));
        let live = if is_known { View::all(broadcast) } else { BTreeMap::new() };
        let is_gone = |name: &BroadcastName, entry: &mut Entry| {
            entry.view.broadcast.is_same(broadcast) && !live.contains_key(name)
        };
        let gone: Vec<_> = entries.extract_if(.., is_gone).collect();
        let mut replaced = Vec::new();
        let mut came = Vec::new();
        let mut updated = false;
        for (name, (view, parts)) in live {
            match entries.get(&name).filter(|known| known.view.broadcast.is_same(broadcast)) {
                Some(known) => {
                    updated |=
                        known.editions.send_if_modified(|editions| editions.update(parts, events, unix, &self.numbers));
                }
                None => {
                    let (editions, reader) = watch::channel(Editions::new(parts, unix, &self.numbers));
                    came.push((name.clone(), view.clone(), reader));
                    replaced.extend(entries.insert(name, Entry { view, editions }));
                }
            }
        }
        drop(entries);
        let changed = !gone.is_empty() || !came.is_empty();
        drop((gone, replaced));
        for (name, view, editions) in came {
            let (origin, meters) = (self.origin.clone(), self.net.clone());
            self.spawn(supervise::restart(format!("{name} over moq-net"), move || {
                net::publish(origin.clone(), name.clone(), view.clone(), editions.clone(), meters.clone())
            }));
        }
        if changed {
            self.names.send_modify(|count| *count += 1);
        }
        if changed || updated {
            self.served.send_modify(|count| *count += 1);
        }
    }
}

/// Follows every broadcast of the bus, for ever.
pub(super) async fn watch(shared: Arc<Shared>) {
    let mut changes = shared.bus.changes();
    let mut followed: BTreeMap<BroadcastName, (Broadcast, AbortHandle)> = BTreeMap::new();
    loop {
        changes.mark_unchanged();
        let live = shared.bus.broadcasts();
        let is_gone = |_: &BroadcastName, known: &mut (Broadcast, AbortHandle)| {
            !live.iter().any(|broadcast| broadcast.is_same(&known.0))
        };
        for (_, (broadcast, task)) in followed.extract_if(.., is_gone) {
            task.abort();
            shared.follow(&broadcast, None);
        }
        for broadcast in live {
            followed.entry(broadcast.name().clone()).or_insert_with(|| {
                let (follower, followed) = (shared.clone(), broadcast.clone());
                let task = shared.spawn(supervise::restart(format!("{} over MoQ", broadcast.name()), move || {
                    follow(follower.clone(), followed.clone())
                }));
                (broadcast, task)
            });
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

async fn follow(shared: Arc<Shared>, broadcast: Broadcast) {
    let mut changes = broadcast.changes();
    let mut looks = tokio::time::interval(MEASURED);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reads = tokio::time::interval(EVENTS);
    reads.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut timeline = Timeline::new(broadcast.clone(), Time::from(shared.bus.settings().window.duration));
    loop {
        changes.mark_unchanged();
        shared.follow(&broadcast, Some(timeline.text()));
        loop {
            tokio::select! {
                changed = changes.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                _ = looks.tick() => break,
                _ = reads.tick() => if timeline.catch_up() { break },
            }
        }
    }
}
