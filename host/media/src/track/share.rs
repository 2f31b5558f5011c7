//! The memory that all tracks may hold together, and each track's share of it.
//!
//! A writer adds what its fragment holds to an atomic sum, and is done. Only where that sum is over the limit does it look for the
//! track that holds most, which gives up its oldest media.

use std::collections::BinaryHeap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::state::{Shared, Track};

/// Once over the limit, tracks give up this part of it more, so that not every fragment that follows has to look for a track.
const SLACK: u64 = 64;

/// The memory of all tracks of a bus.
pub(crate) struct Total {
    limit: u64,
    held: AtomicU64,
    given_up: AtomicU64,
    tracks: Mutex<Vec<Weak<Shared>>>,
    /// Held by the one writer that looks for tracks.
    turn: Mutex<()>,
}

/// What one track holds. Given back when it is dropped.
pub(super) struct Share {
    total: Arc<Total>,
    held: AtomicU64,
}

/// How the sum of all tracks stands to its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Within,
    TooMuch,
}

impl Total {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            limit,
            held: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            tracks: Mutex::default(),
            turn: Mutex::default(),
        })
    }

    /// In bytes.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// What all tracks hold now, in bytes.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Fragments that were given up because of the limit.
    pub(crate) fn given_up(&self) -> u64 {
        self.given_up.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, track: &Track) {
        let mut tracks = self.tracks.lock().unwrap_or_else(PoisonError::into_inner);
        tracks.retain(|known| known.strong_count() > 0);
        tracks.push(Arc::downgrade(&track.0));
    }

    /// Has the tracks that hold most give up their oldest groups until all is within the limit again. Where no track has a second
    /// group, the beginnings of groups go. Does nothing where somebody else is about it.
    pub(super) fn relieve(&self) {
        let Ok(_turn) = self.turn.try_lock() else { return };
        let goal = self.limit - self.limit / SLACK;
        let tracks: Vec<Track> = {
            let tracks = self.tracks.lock().unwrap_or_else(PoisonError::into_inner);
            tracks.iter().filter_map(Weak::upgrade).map(Track).collect()
        };
        let ways: [fn(&Track) -> u64; 2] = [Track::give_up_group, Track::give_up_beginning];
        for give_up in ways {
            let mut by_weight: BinaryHeap<_> =
                tracks.iter().enumerate().map(|(index, track)| (track.0.share.held(), index)).collect();
            while self.held() > goal
                && let Some((_, heaviest)) = by_weight.pop()
            {
                let given_up = give_up(&tracks[heaviest]);
                if given_up > 0 {
                    self.given_up.fetch_add(given_up, Ordering::Relaxed);
                    by_weight.push((tracks[heaviest].0.share.held(), heaviest));
                }
            }
        }
    }
}

impl Share {
    pub(super) fn new(total: Arc<Total>) -> Self {
        Self { total, held: AtomicU64::new(0) }
    }

    pub(super) fn total(&self) -> &Total {
        &self.total
    }

    /// What the track holds, in bytes.
    pub(super) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Says what the track holds now. To be called under the track's lock.
    pub(super) fn set(&self, held: u64) -> Held {
        let before = self.held.swap(held, Ordering::Relaxed);
        // Wraps round where it is less than before, as the sum does.
        let change = held.wrapping_sub(before);
        let all = self.total.held.fetch_add(change, Ordering::Relaxed).wrapping_add(change);
        if all > self.total.limit { Held::TooMuch } else { Held::Within }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

impl fmt::Debug for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Total").field("held", &self.held()).field("limit", &self.limit).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{info, media};
    use super::super::{Event, Next, Producer, Start, Window};
    use crate::broadcast::Publisher;
    use crate::bus::{Bus, Settings};
    use crate::clock::Clock;
    use crate::name::{BroadcastName, TrackName};

    const LIMIT: u64 = 4 << 20;

    fn bus() -> Bus {
        let clock = Clock::manual(Duration::from_secs(1_800_000_000)).into();
        Bus::new(Settings { total: LIMIT, window: Window::default(), ..Settings::default() }, clock)
    }

    fn publish(bus: &Bus, name: &str) -> (Publisher, Producer) {
        let publisher = bus.publish(&BroadcastName::new(name).unwrap()).unwrap();
        let producer = publisher.create_track(TrackName::new("video").unwrap(), info()).unwrap();
        (publisher, producer)
    }

    /// Ten fragments a group, 100 ms each.
    fn write(producer: &mut Producer, fragments: std::ops::Range<i64>, size: usize) {
        for n in fragments {
            producer.write(media(n * 100, n % 10 == 0, size)).unwrap();
        }
    }

    #[test]
    fn the_track_that_holds_most_gives_up_its_oldest_groups() {
        let bus = bus();
        let (_light, mut light) = publish(&bus, "live/light");
        let (_heavy, mut heavy) = publish(&bus, "live/heavy");
        let mut slow = heavy.track().subscribe(Start::NextGroup);
        write(&mut light, 0..100, 1_000);
        write(&mut heavy, 0..200, 40_000);
        let memory = bus.memory();
        assert!(memory.held <= LIMIT && memory.held > LIMIT * 9 / 10, "{memory:?}");
        assert_eq!(light.track().stats().held, 100, "it holds less than the other");
        assert_eq!(light.track().stats().given_up, 0);
        let held = heavy.track().held();
        assert!(held[0].starts_group() && heavy.track().newest().unwrap().place().sequence == 199);
        assert_eq!(held.len() as u64 + heavy.track().stats().given_up, 200);
        assert_eq!(heavy.track().stats().given_up, memory.given_up);
        assert!(matches!(slow.try_next(), Next::Ready(Event::Gap { .. })), "whoever was behind is told");
    }

    #[test]
    fn a_light_track_that_writes_takes_from_the_heavy_one() {
        let bus = bus();
        let (_heavy, mut heavy) = publish(&bus, "live/heavy");
        write(&mut heavy, 0..90, 40_000);
        let told = heavy.track().given_up();
        let (_light, mut light) = publish(&bus, "live/light");
        write(&mut light, 0..40, 20_000);
        assert_eq!(light.track().stats().held, 40);
        assert!(heavy.track().stats().given_up > 0 && told.has_changed().unwrap());
    }

    #[test]
    fn where_no_track_has_a_second_group_beginnings_go() {
        let bus = bus();
        let (_publisher, mut producer) = publish(&bus, "live/endless");
        producer.write(media(0, true, 40_000)).unwrap();
        for n in 1..300 {
            producer.write(media(n * 100, false, 40_000)).unwrap();
            assert!(bus.memory().held <= LIMIT);
        }
        assert_eq!(producer.track().newest().unwrap().place().sequence, 299);
    }

    #[test]
    fn what_ends_is_given_back() {
        let bus = bus();
        let (publisher, mut producer) = publish(&bus, "live/demo");
        write(&mut producer, 0..20, 10_000);
        assert_eq!(bus.memory().held, producer.track().stats().pinned);
        publisher.finish();
        drop(producer);
        bus.clock().advance(Settings::default().retain_ended);
        bus.expire();
        assert_eq!(bus.memory().held, 0);
    }
}
