//! Which packets make a chunk, and the group it belongs to.
//!
//! A packet belongs to the group of the source's fragment it begins in, so that a rung's groups begin where the source's do or less
//! than a packet later. What begins before the first fragment, by the encoder's delay, belongs to that fragment's group.

use std::collections::VecDeque;
use std::time::Duration;

use millrace_codec::audio::AudioPacket;
use millrace_media::calendar::Group;
use millrace_media::{Fragment, Time};

/// Packets of 20 ms in a chunk, unless its group ends before: 100 ms, as the source's chunks are.
const PACKETS: usize = 5;
/// The most fragments remembered: more than ever lie between what is decoded and what comes out of the encoder.
const REMEMBERED: usize = 256;

/// Where a fragment of the source begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) start: Time,
    pub(super) group: Group,
    pub(super) captured_at: Option<Duration>,
}

impl From<&Fragment> for Origin {
    fn from(fragment: &Fragment) -> Self {
        Self { start: fragment.presentation_time, group: fragment.place().group, captured_at: fragment.captured_at }
    }
}

/// Packets that are written together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) group: Group,
    /// When its beginning was captured.
    pub(super) captured_at: Option<Duration>,
    pub(super) packets: Vec<AudioPacket>,
}

/// Packets on their way into chunks.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    origins: VecDeque<Origin>,
    pub(super) packets: VecDeque<AudioPacket>,
}

impl Chunks {
    /// A fragment of the source follows.
    pub(super) fn begin(&mut self, origin: Origin) {
        if self.origins.len() == REMEMBERED {
            self.origins.pop_front();
        }
        self.origins.push_back(origin);
    }

    /// The next chunk that is complete or, at the end, whatever is left.
    pub(super) fn next(&mut self, at_the_end: bool) -> Option<Chunk> {
        let first = self.packets.front()?.time;
        while self.origins.get(1).is_some_and(|next| next.start <= first) {
            self.origins.pop_front();
        }
        let origin = *self.origins.front()?;
        // The first of the fragments after that begins another group.
        let ends = self.origins.iter().find(|later| later.group != origin.group).map(|later| later.start);
        let length = self.packets.iter().take(PACKETS).take_while(|packet| ends.is_none_or(|ends| packet.time < ends));
        let length = length.count().max(1);
        if length < PACKETS && length == self.packets.len() && !at_the_end {
            return None;
        }
        let captured_at = origin.captured_at.map(|captured| {
            let before = (origin.start - first).to_duration();
            (captured + (first - origin.start).to_duration()).saturating_sub(before)
        });
        Some(Chunk { group: origin.group, captured_at, packets: self.packets.drain(..length).collect() })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn packet(millis: i64) -> AudioPacket {
        AudioPacket { data: Bytes::new(), time: Time::from_millis(millis), duration: 960 }
    }

    fn origin(millis: i64, group: u64) -> Origin {
        let captured_at = Some(Duration::from_secs(1_000) + Duration::from_millis(millis as u64));
        Origin { start: Time::from_millis(millis), group: Group(group), captured_at }
    }

    fn seen(chunk: Option<Chunk>) -> Option<(u64, Vec<i64>, u64)> {
        let chunk = chunk?;
        let times = chunk.packets.iter().map(|packet| packet.time.rescale(millrace_media::Timescale::MILLIS).ticks());
        let captured = chunk.captured_at?.checked_sub(Duration::from_secs(1_000))?.as_millis();
        Some((chunk.group.0, times.collect(), captured as u64))
    }

    #[test]
    fn chunks_are_cut_where_groups_begin() {
        let mut chunks = Chunks::default();
        chunks.begin(origin(100, 7));
        chunks.packets.extend([94, 114, 134, 154].map(packet));
        assert_eq!(chunks.next(false), None);
        chunks.begin(origin(200, 7));
        chunks.packets.extend([174, 194, 214, 234, 254, 274].map(packet));
        assert_eq!(seen(chunks.next(false)), Some((7, vec![94, 114, 134, 154, 174], 94)));
        chunks.begin(origin(240, 8));
        assert_eq!(seen(chunks.next(false)), Some((7, vec![194, 214, 234], 194)));
        assert_eq!(chunks.next(false), None);
        assert_eq!(seen(chunks.next(true)), Some((8, vec![254, 274], 254)));
        assert_eq!(chunks.next(true), None);
    }

    #[test]
    fn fragments_without_sound_are_not_remembered_for_ever() {
        let mut chunks = Chunks::default();
        (0..10_000).for_each(|n| chunks.begin(origin(n * 100, 0)));
        assert_eq!(chunks.origins.len(), REMEMBERED);
    }
}
