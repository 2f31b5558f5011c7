//! Pictures that are in the encoder, and what is to be said of their packets.
//!
//! An encoder may hold pictures back; their packets come out some pictures later, in presentation order. Each is paired with its
//! picture by time, so that it is written to the picture's group whatever has happened since.

use std::collections::VecDeque;
use std::time::Duration;

use millrace_codec::Packet;
use millrace_media::Time;
use millrace_media::calendar::Group;

/// More pictures than any encoder holds back: beyond it, it has swallowed the oldest.
const MOST: usize = 256;

/// What is known of a picture that is being encoded. Times are in the rung's timescale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) time: Time,
    pub(super) group: Group,
    /// Until the next picture of the rung: those left out behind it have made it longer.
    pub(super) duration: Time,
    pub(super) captured_at: Option<Duration>,
    pub(super) arrived: Duration,
}

/// In presentation order: the pictures in the encoder, and those whose packets wait to be written.
#[derive(Debug, Default)]
pub(super) struct Pending(VecDeque<(Entry, Option<Packet>)>);

impl Pending {
    /// A picture goes into the encoder.
    pub(super) fn encode(&mut self, entry: Entry) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back((entry, None));
    }

    /// The picture behind the last one is left out and would have been shown for `duration`: the last one is shown instead, if it has
    /// not been written and is of the same group. False where it has been.
    pub(super) fn left_out(&mut self, group: Group, duration: Time) -> bool {
        match self.0.back_mut().filter(|(entry, _)| entry.group == group) {
            Some((entry, _)) => {
                entry.duration = entry.duration + duration;
                true
            }
            None => false,
        }
    }

    /// A packet has come out. False where it belongs to no picture that is known.
    pub(super) fn packet(&mut self, packet: Packet) -> bool {
        match self.0.iter_mut().find(|(entry, known)| entry.time == packet.time && known.is_none()) {
            Some((_, known)) => {
                *known = Some(packet);
                true
            }
            None => false,
        }
    }

    /// The next packet to be written. With `hold` the last picture's is kept back, for a picture left out may make it longer.
    pub(super) fn next(&mut self, hold: bool) -> Option<(Entry, Packet)> {
        while let Some((_, packet)) = self.0.front() {
            if hold && self.0.len() == 1 {
                return None;
            }
            if packet.is_some() {
                let (entry, packet) = self.0.pop_front()?;
                return packet.map(|packet| (entry, packet));
            }
            // A later packet is here: no encoder reorders, so nothing will come of this picture.
            if !self.0.iter().any(|(_, packet)| packet.is_some()) {
                return None;
            }
            self.0.pop_front();
        }
        None
    }

    /// Forgets the pictures of which nothing will come any more. Gives how many they were.
    pub(super) fn abandon(&mut self) -> usize {
        let before = self.0.len();
        self.0.retain(|(_, packet)| packet.is_some());
        before - self.0.len()
    }

    /// How many pictures are in the encoder.
    pub(super) fn inside(&self) -> usize {
        self.0.iter().filter(|(_, packet)| packet.is_none()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(millis: i64, group: u64) -> Entry {
        Entry {
            time: Time::from_millis(millis),
            group: Group(group),
            duration: Time::from_millis(40),
            captured_at: Some(Duration::from_millis(millis as u64)),
            arrived: Duration::ZERO,
        }
    }

    fn packet(millis: i64) -> Packet {
        Packet { data: vec![1].into(), time: Time::from_millis(millis), keyframe: false }
    }

    fn written(pending: &mut Pending, hold: bool) -> Vec<(i64, u64, i64)> {
        std::iter::from_fn(|| pending.next(hold))
            .map(|(entry, packet)| {
                assert_eq!(entry.time, packet.time);
                (entry.time.ticks(), entry.group.0, entry.duration.ticks())
            })
            .collect()
    }

    #[test]
    fn late_packets_find_the_group_of_their_pictures() {
        let mut pending = Pending::default();
        for (millis, group) in [(0, 1), (40, 1), (80, 2)] {
            pending.encode(entry(millis, group));
            assert!(written(&mut pending, false).is_empty());
        }
        for millis in [0, 40, 80] {
            assert!(pending.packet(packet(millis)));
        }
        assert_eq!(written(&mut pending, false), [(0, 1, 40), (40, 1, 40), (80, 2, 40)]);
        assert!(!pending.packet(packet(80)), "nobody knows it any more");
    }

    #[test]
    fn what_is_left_out_makes_the_picture_before_it_longer_within_its_group() {
        let mut pending = Pending::default();
        pending.encode(entry(0, 1));
        assert!(pending.packet(packet(0)));
        assert!(written(&mut pending, true).is_empty(), "held back");
        assert!(pending.left_out(Group(1), Time::from_millis(80)));
        assert!(!pending.left_out(Group(2), Time::from_millis(80)), "another group's");
        pending.encode(entry(120, 1));
        assert!(pending.packet(packet(120)));
        assert_eq!(written(&mut pending, true), [(0, 1, 120)]);
        assert_eq!(written(&mut pending, false), [(120, 1, 40)]);
        assert!(!pending.left_out(Group(1), Time::from_millis(80)), "it has been written");
    }

    #[test]
    fn a_picture_the_encoder_swallowed_mispairs_nothing() {
        let mut pending = Pending::default();
        for millis in [0, 40, 80] {
            pending.encode(entry(millis, 1));
        }
        assert!(pending.packet(packet(0)) && pending.packet(packet(80)));
        assert_eq!(written(&mut pending, false), [(0, 1, 40), (80, 1, 40)]);
        pending.encode(entry(160, 1));
        assert_eq!((pending.inside(), pending.abandon(), pending.inside()), (1, 1, 0));
        for n in 0..1_000 {
            pending.encode(entry(n, 2));
        }
        assert_eq!(pending.inside(), MOST);
    }
}
