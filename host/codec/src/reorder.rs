//! From decoding order to presentation order.

use std::collections::BTreeMap;

use millrace_media::time::Time;

/// Puts decoded pictures into presentation order, and knows which were lost.
///
/// Every sample is entered when it goes into the decoder and gets an id; the decoder hands the id back with the picture. A
/// picture comes out once no picture before it can still come: either more than `depth` samples entered so far stand at or after
/// it (`depth` is the stream's `max_num_reorder_frames`, ITU-T H.264 E.2.1: no picture is preceded in decoding order by more
/// pictures that follow it in output order), or a keyframe has been entered after it, which nothing may cross.
pub(crate) struct Reorder<P> {
    depth: usize,
    /// What the depth may rise to.
    most: usize,
    next_id: u64,
    /// Rises with each keyframe: the first key of presentation order.
    sequence: u64,
    entries: BTreeMap<Key, Option<P>>,
    keys: BTreeMap<u64, Key>,
    last_out: Option<Key>,
}

/// Presentation order: the coded video sequence, the time in it, and the order of entry where a stream repeats a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    sequence: u64,
    time: Time,
    id: u64,
}

/// More samples than this inside means that the decoder swallowed some: it holds 16 at most, and reorders by 16 at most.
const MAX_INSIDE: usize = 33;

impl<P> Reorder<P> {
    /// `most` is how many pictures may be held back, whatever the stream says or does.
    pub(crate) fn new(depth: usize, most: usize) -> Self {
        Self {
            depth: depth.min(most),
            most,
            next_id: 1,
            sequence: 0,
            entries: BTreeMap::new(),
            keys: BTreeMap::new(),
            last_out: None,
        }
    }

    /// Enters a sample on its way to the decoder, and gives the id its picture will carry.
    pub(crate) fn enter(&mut self, time: Time, keyframe: bool) -> u64 {
        if keyframe {
            self.sequence += 1;
        }
        let id = self.next_id;
        self.next_id += 1;
        let key = Key { sequence: self.sequence, time, id };
        self.keys.insert(id, key);
        self.entries.insert(key, None);
        id
    }

    /// Takes the picture of an id. Nothing happens for an id that is unknown or was given up.
    pub(crate) fn decoded(&mut self, id: u64, picture: P) {
        let Some(key) = self.keys.remove(&id) else { return };
        if self.last_out.is_some_and(|last| key < last) {
            // The stream reorders more than it declared. This picture's turn is over; the next will be waited for.
            self.entries.remove(&key);
            self.depth = (self.depth + 1).min(self.most);
            tracing::warn!(time = %key.time, depth = self.depth, "picture dropped: the stream reorders more than it declares");
            return;
        }
        self.entries.insert(key, Some(picture));
    }

    /// Gives up on a sample: no picture will come of it.
    pub(crate) fn lost(&mut self, id: u64) {
        if let Some(key) = self.keys.remove(&id) {
            self.entries.remove(&key);
        }
    }

    /// Appends the pictures that are ready.
    pub(crate) fn ready(&mut self, out: &mut Vec<P>) {
        while let Some(first) = self.entries.first_entry() {
            let key = *first.key();
            let crossed = self.sequence > key.sequence;
            if first.get().is_none() {
                let newer_came = crossed
                    && self.entries.iter().any(|(other, picture)| other.sequence > key.sequence && picture.is_some());
                if !newer_came && self.entries.len() <= MAX_INSIDE {
                    return;
                }
                self.lost(key.id);
                continue;
            }
            if !crossed && self.entries.len() <= self.depth {
                return;
            }
            out.extend(self.entries.remove(&key).flatten());
            self.last_out = Some(key);
        }
    }

    /// Appends all pictures that came and gives up on those that did not. What is entered next starts anew.
    pub(crate) fn drain(&mut self, out: &mut Vec<P>) {
        out.extend(std::mem::take(&mut self.entries).into_values().flatten());
        self.keys.clear();
        self.sequence += 1;
        self.last_out = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: i64) -> Time {
        Time::from_millis(millis)
    }

    /// Enters and decodes each time at once; what comes out after each.
    fn run(reorder: &mut Reorder<i64>, times: &[i64]) -> Vec<Vec<i64>> {
        times
            .iter()
            .map(|&time| {
                let id = reorder.enter(ms(time), time % 1000 == 0);
                reorder.decoded(id, time);
                let mut out = Vec::new();
                reorder.ready(&mut out);
                out
            })
            .collect()
    }

    #[test]
    fn without_reordering_every_picture_comes_out_at_once() {
        assert_eq!(run(&mut Reorder::new(0, 16), &[0, 40, 80, 1000]), [[0], [40], [80], [1000]]);
    }

    #[test]
    fn a_pyramid_comes_out_in_order_with_the_least_delay() {
        // I P B b b P B b b, depth 2.
        let mut reorder = Reorder::new(2, 16);
        let out = run(&mut reorder, &[0, 160, 80, 40, 120, 320, 240, 200, 280]);
        assert_eq!(out.concat(), [0, 40, 80, 120, 160, 200, 240]);
        assert_eq!(out[2], [0], "the first is certain once two later ones are known");
        let mut rest = Vec::new();
        reorder.drain(&mut rest);
        assert_eq!(rest, [280, 320]);
    }

    #[test]
    fn a_keyframe_ends_the_wait_and_a_lost_picture_does_not_prolong_it() {
        let mut reorder = Reorder::new(2, 16);
        run(&mut reorder, &[0, 80]);
        let lost = reorder.enter(ms(40), false);
        let mut out = Vec::new();
        reorder.ready(&mut out);
        assert_eq!(out, [0]);
        reorder.lost(lost);
        assert_eq!(run(&mut reorder, &[1000]), [[80]]);
    }

    #[test]
    fn a_picture_the_decoder_swallowed_blocks_nobody_beyond_the_next_keyframe() {
        let mut reorder = Reorder::new(1, 16);
        reorder.enter(ms(0), true);
        assert!(run(&mut reorder, &[40, 80]).concat().is_empty());
        assert_eq!(run(&mut reorder, &[1000, 1040]).concat(), [40, 80, 1000]);
    }

    #[test]
    fn what_is_inside_is_bounded() {
        let mut reorder = Reorder::<i64>::new(16, 16);
        let mut out = Vec::new();
        for i in 0..10_000 {
            reorder.enter(ms(i), false);
            reorder.ready(&mut out);
        }
        assert!(reorder.entries.len() <= MAX_INSIDE && reorder.keys.len() <= MAX_INSIDE);
    }

    #[test]
    fn a_stream_that_lies_about_its_reordering_loses_one_picture_not_its_order() {
        let out = run(&mut Reorder::new(0, 16), &[0, 80, 40, 160, 120, 240, 200, 1000]).concat();
        assert_eq!(out, [0, 80, 120, 160, 200, 240]);
    }

    #[test]
    fn time_may_start_again_at_a_keyframe() {
        let mut reorder = Reorder::new(1, 16);
        let first = run(&mut reorder, &[5000, 5040]).concat();
        let second = run(&mut reorder, &[0, 40, 80]).concat();
        assert_eq!([first, second].concat(), [5000, 5040, 0, 40]);
    }
}
