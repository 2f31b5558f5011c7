//! The catalogs of a view as they change: each edition is a group of one object.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::Form;
use super::measured::Listed;
use crate::moq::events::NONE;
use crate::moq::view::Part;

/// Editions that can be fetched: as many as may come between a subscription and the fetch that joins it.
const KEPT: usize = 16;

/// Gives the numbers of editions. They rise across broadcasts of a name, and across restarts, as those of the bus do.
#[derive(Debug, Default)]
pub(in crate::moq) struct Numbers(AtomicU64);

impl Numbers {
    fn next(&self, unix_millis: u64) -> u64 {
        let rise = |last: u64| Some(unix_millis.max(last + 1));
        // Given a number for every last one, it does not fail.
        let last = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rise).unwrap_or_else(|last| last);
        unix_millis.max(last + 1)
    }
}

/// A catalog that held from some time on.
#[derive(Debug)]
pub(in crate::moq) struct Edition {
    /// Its group's number; its object's is 0.
    pub(in crate::moq) group: u64,
    /// In the order of [`Form::ALL`].
    texts: [Bytes; Form::ALL.len()],
}

impl Edition {
    /// As it is sent.
    pub(in crate::moq) fn text(&self, form: Form) -> &Bytes {
        &self.texts[form as usize]
    }
}

/// The editions of one view. Never empty.
#[derive(Debug)]
pub(in crate::moq) struct Editions {
    tracks: Vec<Listed>,
    events: Bytes,
    /// Oldest first.
    kept: VecDeque<Arc<Edition>>,
}

impl Editions {
    /// With a first edition, at `unix` since the Unix epoch.
    pub(in crate::moq) fn new(parts: Vec<Part>, unix: Duration, numbers: &Numbers) -> Self {
        let tracks = parts.into_iter().map(|part| Listed::new(part, &[])).collect();
        let mut editions = Self { tracks, events: NONE, kept: VecDeque::new() };
        editions.add(false, unix, numbers);
        editions
    }

    /// Makes a new edition where there is anything else to say than before, and says whether it did. Without `events`, those stay.
    pub(in crate::moq) fn update(
        &mut self,
        parts: Vec<Part>,
        events: Option<&Bytes>,
        unix: Duration,
        numbers: &Numbers,
    ) -> bool {
        let tracks: Vec<_> = parts.into_iter().map(|part| Listed::new(part, &self.tracks)).collect();
        let events = events.unwrap_or(&self.events).clone();
        if self.tracks == tracks && self.events == events {
            return false;
        }
        // What is in the timeline is no news of a catalog.
        let same_catalogs = self.tracks == tracks && (self.events == NONE) == (events == NONE);
        (self.tracks, self.events) = (tracks, events);
        self.add(same_catalogs, unix, numbers);
        true
    }

    /// The one that holds now.
    pub(in crate::moq) fn newest(&self) -> &Arc<Edition> {
        self.kept.back().expect("there is a first edition, and the newest is kept")
    }

    /// Those that can be fetched, oldest first.
    pub(in crate::moq) fn kept(&self) -> impl DoubleEndedIterator<Item = &Arc<Edition>> {
        self.kept.iter()
    }

    fn add(&mut self, same_catalogs: bool, unix: Duration, numbers: &Numbers) {
        let unix_millis = u64::try_from(unix.as_millis()).unwrap_or(0);
        let texts = Form::ALL.map(|form| {
            let before = self.kept.back().filter(|_| same_catalogs && form != Form::Events);
            if let Some(before) = before {
                return before.text(form).clone();
            }
            super::write(form, &self.tracks, &self.events, unix_millis).unwrap_or_else(|error| {
                tracing::error!(%error, "a catalog cannot be written: the one before stays");
                self.kept.back().map(|edition| edition.text(form).clone()).unwrap_or_default()
            })
        });
        self.kept.push_back(Arc::new(Edition { group: numbers.next(unix_millis), texts }));
        while self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_though_the_clock_stands_or_goes_back() {
        let numbers = Numbers::default();
        assert_eq!([1_000, 1_000, 900, 2_000].map(|unix| numbers.next(unix)), [1_000, 1_001, 1_002, 2_000]);
    }
}
