//! What was not decoded of a source, and why: for the operator.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::Counter;

/// Why a sample was not decoded, beside damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// The source asks for more decoding than it may.
    Limited,
    /// It is not one access unit.
    Refused,
    /// Its publisher had gone, or the server was to stop.
    Ended,
}

impl Dropped {
    const ALL: [Self; 3] = [Self::Limited, Self::Refused, Self::Ended];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Limited => "limited",
            Self::Refused => "refused",
            Self::Ended => "ended",
        }
    }
}

/// Counts them, by source and in the metrics.
pub(crate) struct Tally([(AtomicU64, Counter); 3]);

impl Tally {
    pub(crate) fn new() -> Self {
        let counter = |reason: Dropped| metrics::counter!("millrace_decode_dropped_total", "reason" => reason.as_str());
        Self(Dropped::ALL.map(|reason| (AtomicU64::new(0), counter(reason))))
    }

    pub(crate) fn add(&self, reason: Dropped) {
        let (count, counter) = &self.0[reason as usize];
        count.fetch_add(1, Ordering::Relaxed);
        counter.increment(1);
    }

    fn get(&self, reason: Dropped) -> u64 {
        self.0[reason as usize].0.load(Ordering::Relaxed)
    }

    /// Sentences for the operator, of the source's track of this name and of what it may not ask for.
    pub(crate) fn notes(&self, track: &str, limit: &str) -> Vec<String> {
        let mut notes = Vec::new();
        let [limited, refused, ended] = Dropped::ALL.map(|reason| self.get(reason));
        if limited > 0 {
            notes.push(format!("frames of {track} that were not decoded for renditions: {limited}, because {limit}"));
        }
        if refused > 0 {
            notes.push(format!(
                "samples of {track} that were not decoded for renditions: {refused}, because they hold more than one access unit, or too \
                 many units"
            ));
        }
        if ended > 0 {
            notes.push(format!(
                "frames of {track} that were not decoded for renditions: {ended}, because their publisher had gone, or the server stops"
            ));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_say_what_was_dropped_and_why() {
        let tally = Tally::new();
        assert!(tally.notes("video", "").is_empty());
        (0..3).for_each(|_| tally.add(Dropped::Limited));
        tally.add(Dropped::Refused);
        let notes = tally.notes("video", "the limit");
        assert_eq!(notes.len(), 2);
        assert_eq!(notes[0], "frames of video that were not decoded for renditions: 3, because the limit");
        assert!(notes[1].starts_with("samples of video that were not decoded for renditions: 1,"), "{notes:?}");
    }
}
