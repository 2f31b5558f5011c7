//! The tracks that one transcoder reads.

use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{FuturesUnordered, StreamExt};
use millrace_media::Fragment;
use millrace_media::calendar::Epoch;
use millrace_media::track::{Consumer, Event, Info, Next, Start, Track};
use tokio::sync::Notify;

use crate::factory::{SourceTrack, TrackEnd};

#[cfg(test)]
mod tests;

/// Tracks that have appeared and that the transcoder does not read yet. Never more than a broadcast has.
#[derive(Debug, Default)]
pub(super) struct NewTracks {
    list: Mutex<List>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct List {
    /// Those that have been added and have not ended.
    known: Vec<Track>,
    waiting: Vec<Consumer>,
}

impl NewTracks {
    /// Adds a track, unless it has been added before.
    pub(super) fn add(&self, track: &Track, start: Start) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.known.retain(|known| !known.is_ended());
        if !list.known.iter().any(|known| known.is_same(track)) {
            list.known.push(track.clone());
            list.waiting.push(track.subscribe(start));
            self.arrived.notify_one();
        }
    }

    fn take(&self) -> Vec<Consumer> {
        std::mem::take(&mut self.list.lock().unwrap_or_else(PoisonError::into_inner).waiting)
    }
}

/// Whether the instance works on a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// It is asked with the track's next group.
    Due,
    Accepted,
    Declined,
}

/// One track that the transcoder reads.
#[derive(Debug)]
pub(super) struct Feed {
    consumer: Consumer,
    /// An event that has been read and not handled.
    ready: Option<Event>,
    pub(super) offer: Offer,
    /// What the track was at its last fragment, and in which epoch.
    known: Option<(SourceTrack, Epoch)>,
}

impl Feed {
    fn new(consumer: Consumer) -> Self {
        Self { consumer, ready: None, offer: Offer::Due, known: None }
    }

    pub(super) fn track(&self) -> &Track {
        self.consumer.track()
    }

    /// What the track is, once a fragment has come.
    pub(super) fn source(&self) -> Option<&SourceTrack> {
        self.known.as_ref().map(|(source, _)| source)
    }

    /// Looks at the next fragment. Where the track changes with it, the track gets the id `next_id`, and why it has changed is returned.
    pub(super) fn look(&mut self, fragment: &Fragment, next_id: &mut u32) -> Option<TrackEnd> {
        let (info, epoch) = (fragment.info(), fragment.place().epoch);
        let ended = match &self.known {
            Some((_, known)) if *known != epoch => Some(TrackEnd::PublisherLost),
            Some((source, _)) if !is_same(&source.info, info) => Some(TrackEnd::Changed),
            Some(_) => return None,
            None => None,
        };
        let source = SourceTrack { id: *next_id, track: self.track().clone(), info: info.clone() };
        *next_id = next_id.wrapping_add(1);
        self.known = Some((source, epoch));
        ended
    }

    /// Reads ahead by one event. False where there is nothing yet.
    fn look_ahead(&mut self) -> bool {
        if self.ready.is_none() {
            match self.consumer.try_next() {
                Next::Ready(event) => self.ready = Some(event),
                Next::Ended => {}
                Next::Pending => return false,
            }
        }
        true
    }
}

/// Most fragments refer to the very same description.
fn is_same(a: &Arc<Info>, b: &Arc<Info>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

/// All the tracks that one transcoder reads.
#[derive(Debug)]
pub(super) struct Feeds {
    list: Vec<Feed>,
    /// Where tracks are added, for a transcoder of scope broadcast.
    new_tracks: Option<Arc<NewTracks>>,
}

/// What a transcoder reads from its tracks.
#[derive(Debug)]
pub(super) enum Item {
    /// The next event of the feed with this index.
    Event(usize, Event),
    /// The track of this feed has ended. It is not in the list any more.
    Ended(Box<Feed>),
}

impl Feeds {
    /// The one track.
    pub(super) fn one(consumer: Consumer) -> Self {
        Self { list: vec![Feed::new(consumer)], new_tracks: None }
    }

    /// The tracks of a broadcast, added as they appear.
    pub(super) fn of_broadcast(new_tracks: Arc<NewTracks>) -> Self {
        Self { list: Vec::new(), new_tracks: Some(new_tracks) }
    }

    pub(super) fn all(&self) -> &[Feed] {
        &self.list
    }

    pub(super) fn all_mut(&mut self) -> &mut [Feed] {
        &mut self.list
    }

    /// How many fragments of the windows have not been read.
    pub(super) fn waiting(&self) -> u64 {
        self.list.iter().map(|feed| feed.consumer.behind() + u64::from(feed.ready.is_some())).sum()
    }

    /// Waits for the next item: of several tracks, the one that arrived first. Dropping the future loses no item.
    pub(super) async fn next(&mut self) -> Item {
        loop {
            self.add_new_tracks();
            if let Some(item) = self.ready() {
                return item;
            }
            self.wait().await;
        }
    }

    fn add_new_tracks(&mut self) {
        if let Some(new_tracks) = &self.new_tracks {
            self.list.extend(new_tracks.take().into_iter().map(Feed::new));
        }
    }

    /// The item that is to be handled now, if one is there.
    fn ready(&mut self) -> Option<Item> {
        let mut first = None;
        for (index, feed) in self.list.iter_mut().enumerate() {
            if !feed.look_ahead() {
                continue;
            }
            // An item that is no fragment is handled at once.
            let arrived = match &feed.ready {
                Some(Event::Fragment(fragment)) => fragment.arrived(),
                _ => std::time::Duration::ZERO,
            };
            if first.is_none_or(|(_, earliest)| arrived < earliest) {
                first = Some((index, arrived));
            }
        }
        let (index, _) = first?;
        Some(match self.list[index].ready.take() {
            Some(event) => Item::Event(index, event),
            None => Item::Ended(Box::new(self.list.remove(index))),
        })
    }

    /// Waits until a track has an item, or a track is added.
    async fn wait(&mut self) {
        let new_tracks = self.new_tracks.clone();
        let arrived = async {
            match new_tracks {
                Some(new_tracks) => new_tracks.arrived.notified().await,
                None => std::future::pending().await,
            }
        };
        let any = async {
            if let [feed] = &mut self.list[..] {
                feed.ready = feed.consumer.next().await;
                return;
            }
            let mut all: FuturesUnordered<_> =
                self.list.iter_mut().map(|feed| async { feed.ready = feed.consumer.next().await }).collect();
            if all.next().await.is_none() {
                std::future::pending().await
            }
        };
        tokio::select! {
            () = arrived => {}
            () = any => {}
        }
    }
}
