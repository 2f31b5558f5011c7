//! The subscribers: each a session of its own, which reads what comes and looks up when it was sent.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use millrace_moq::negotiate::Protocol;
use millrace_moq::{Client, Limits, Stack, Trust};
use millrace_tests::PATIENCE;
use moq_transport::coding::{KeyValuePairs, TrackNamespace};
use moq_transport::message::{FilterType, SubscriptionFilter};
use moq_transport::serve::{SubgroupReader, Track, TrackReaderMode};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::publisher::{Sent, tail};
use super::{BROADCAST, TRACK};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// Between two attempts at a broadcast that is not there yet.
const RETRY: Duration = Duration::from_millis(100);

/// Subscribers at work. They leave when it is dropped.
pub(super) struct Audience<'a> {
    runtime: &'a Runtime,
    tasks: JoinSet<anyhow::Result<()>>,
    heard: Arc<Heard>,
}

/// What came while it was listened to.
pub(super) struct Tally {
    pub(super) bytes: u64,
    /// Of each object, in milliseconds.
    pub(super) delays: Vec<f64>,
}

struct Heard {
    sent: Sent,
    /// Those to whom something has come.
    joined: AtomicUsize,
    listening: AtomicBool,
    bytes: AtomicU64,
    delays: Mutex<Vec<f64>>,
}

impl<'a> Audience<'a> {
    /// Nobody yet. `sent` says when objects were handed over.
    pub(super) fn new(runtime: &'a Runtime, sent: Sent) -> Self {
        let heard = Heard {
            sent,
            joined: AtomicUsize::new(0),
            listening: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            delays: Mutex::default(),
        };
        Self { runtime, tasks: JoinSet::new(), heard: Arc::new(heard) }
    }

    /// Has so many more join, and waits until something has come to each.
    pub(super) fn join(&mut self, url: &str, more: usize) -> anyhow::Result<()> {
        for _ in 0..more {
            let (url, heard) = (url.to_owned(), self.heard.clone());
            self.tasks.spawn_on(async move { subscribe(&url, &heard).await }, self.runtime.handle());
        }
        let deadline = Instant::now() + PATIENCE;
        while self.heard.joined.load(Ordering::Relaxed) < self.tasks.len() {
            self.expect_well()?;
            let joined = self.heard.joined.load(Ordering::Relaxed);
            ensure!(
                Instant::now() < deadline,
                "nothing has come to {} of {}",
                self.tasks.len() - joined,
                self.tasks.len()
            );
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Takes down what comes for so long.
    pub(super) fn listen(&self, window: Duration) -> Tally {
        self.heard.listening.store(true, Ordering::Relaxed);
        std::thread::sleep(window);
        self.heard.listening.store(false, Ordering::Relaxed);
        let delays = std::mem::take(&mut *self.heard.delays.lock().unwrap_or_else(PoisonError::into_inner));
        Tally { bytes: self.heard.bytes.swap(0, Ordering::Relaxed), delays }
    }

    /// Nobody has left.
    pub(super) fn expect_well(&mut self) -> anyhow::Result<()> {
        match self.tasks.try_join_next() {
            None => Ok(()),
            Some(end) => end.context("a subscriber panicked")?.context("a subscriber has left"),
        }
    }
}

async fn subscribe(url: &str, heard: &Arc<Heard>) -> anyhow::Result<()> {
    let client = Client::new(Trust::Anyone, Limits::default())?.speaking(vec![Protocol::Transport]);
    let Stack::Transport { session, mut subscriber, .. } = client.connect(&url.parse()?).await?.stack else {
        bail!("another protocol was chosen than the one that was offered");
    };
    let mut params = KeyValuePairs::default();
    params.set_subscription_filter(&SubscriptionFilter {
        filter_type: FilterType::LargestObject,
        start_location: None,
        end_group_id: None,
    })?;
    let read = async {
        // The first may be there before the publisher is.
        let (_subscription, reader) = loop {
            let (writer, reader) = Track::new(TrackNamespace::from_utf8_path(BROADCAST), TRACK).produce();
            if let Ok(open) = subscriber.subscribe_open_with_params(writer, params.clone()).await {
                break (open, reader);
            }
            tokio::time::sleep(RETRY).await;
        };
        let TrackReaderMode::Subgroups(mut groups) = reader.mode().await? else {
            bail!("objects came otherwise than in subgroups");
        };
        let mut readers = JoinSet::new();
        let mut is_first = true;
        while let Some(group) = groups.next().await? {
            if std::mem::take(&mut is_first) {
                heard.joined.fetch_add(1, Ordering::Relaxed);
            }
            readers.spawn(objects(group, heard.clone()));
            while readers.try_join_next().is_some() {}
        }
        bail!("the track has ended")
    };
    tokio::select! {
        end = session.run() => end.context("the session has ended"),
        end = read => end,
    }
}

async fn objects(mut group: SubgroupReader, heard: Arc<Heard>) {
    while let Ok(Some(object)) = group.read_next().await {
        if !heard.listening.load(Ordering::Relaxed) {
            continue;
        }
        let now = Instant::now();
        heard.bytes.fetch_add(object.len() as u64, Ordering::Relaxed);
        let Some(key) = tail(&object) else { continue };
        let sent = heard.sent.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if let Some(sent) = sent {
            let delay = (now - sent).as_secs_f64() * 1e3;
            heard.delays.lock().unwrap_or_else(PoisonError::into_inner).push(delay);
        }
    }
}
