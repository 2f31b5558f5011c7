//! When frames are decoded, and how long they last.

use std::collections::VecDeque;

use millrace_media::Time;

use super::Frame;
use crate::lane::JUMP;

/// How long a picture lasts of which nothing says so: one of thirty a second.
const USUAL_PICTURE: Time = Time::from_micros(33_333);
/// Timestamps of sound that lie nearer to where it should go on than this are where it should: they are rounded, or taken when it was
/// captured.
const SOUND_JITTER: Time = Time::from_millis(20);

/// Pictures, in decode order, with their presentation times.
#[derive(Debug)]
pub(super) struct Video {
    /// How long the last picture was, or is most likely to be.
    step: Time,
    /// The latest presentation times, rising: one more than pictures may be out of order.
    latest: VecDeque<Time>,
    /// The last picture, whose length is not known yet.
    kept: Option<Frame>,
}

impl Video {
    pub(super) fn new(frame_rate: Option<f32>) -> Self {
        let step = frame_rate.filter(|rate| (1.0..=1_000.0).contains(rate));
        let step = step.map_or(USUAL_PICTURE, |rate| Time::from_micros((1e6 / f64::from(rate)) as i64));
        Self { step, latest: VecDeque::new(), kept: None }
    }

    /// Takes the next picture, and gives the one before.
    pub(super) fn push(&mut self, mut frame: Frame, depth: usize) -> Option<Frame> {
        let presented = frame.decode_time;
        let decoded = self.decode_time(presented, depth);
        frame.decode_time = decoded;
        frame.composition_offset = i32::try_from((presented - decoded).ticks()).unwrap_or(0);
        let mut before = self.kept.replace(frame)?;
        let lasts = decoded - before.decode_time;
        // Where time goes back or jumps, nothing says how long the last picture was.
        if lasts.ticks() > 0 && lasts <= JUMP {
            self.step = lasts;
        }
        before.duration = self.ticks(&before);
        Some(before)
    }

    /// Something is missing: gives the picture that was kept back.
    pub(super) fn cut(&mut self) -> Option<Frame> {
        self.latest.clear();
        let mut kept = self.kept.take()?;
        kept.duration = self.ticks(&kept);
        Some(kept)
    }

    fn ticks(&self, frame: &Frame) -> u32 {
        u32::try_from(self.step.rescale(frame.decode_time.scale()).ticks()).unwrap_or(0)
    }

    /// The nth picture in decode order is decoded when the nth in presentation order is shown, less the delay of `depth` pictures:
    /// so none is shown before it is decoded.
    fn decode_time(&mut self, presented: Time, depth: usize) -> Time {
        if self.latest.back().is_some_and(|latest| presented - *latest > JUMP || *latest - presented > JUMP) {
            self.latest.clear();
        }
        let at = self.latest.partition_point(|known| *known <= presented);
        self.latest.insert(at, presented);
        while self.latest.len() > depth + 1 {
            self.latest.pop_front();
        }
        let first = self.latest.front().copied().unwrap_or(presented);
        // At the beginning there are not as many pictures yet.
        let missing = i64::try_from(depth + 1 - self.latest.len()).unwrap_or(0);
        let step = self.step.rescale(presented.scale()).ticks();
        let decoded = first - Time::new(missing.saturating_mul(step), presented.scale());
        if depth == 0 {
            return decoded;
        }
        // One that comes before all that are known would be decoded before its predecessor: time goes on.
        match self.kept.as_ref().map(|kept| kept.decode_time) {
            Some(last) if decoded <= last && last - decoded < JUMP => last + Time::new(1, last.scale()),
            _ => decoded,
        }
    }
}

/// Frames of sound, which say themselves how long they are.
#[derive(Debug, Default)]
pub(super) struct Audio {
    /// Where the last one ended.
    end: Option<Time>,
}

impl Audio {
    pub(super) fn push(&mut self, mut frame: Frame) -> Frame {
        let given = frame.decode_time;
        let near = |end: &Time| given - *end <= SOUND_JITTER && *end - given <= SOUND_JITTER;
        if let Some(end) = self.end.filter(near) {
            frame.decode_time = end;
        }
        self.end = Some(frame.decode_time + Time::new(frame.duration.into(), frame.decode_time.scale()));
        frame
    }
}

#[cfg(test)]
mod tests {
    use millrace_media::{Payload, Timescale};

    use super::*;
    use crate::lane::Incoming;

    fn frame(time: Time, duration: u32) -> Frame {
        Frame {
            sequence: 0,
            payload: Payload::default(),
            keyframe: false,
            decode_time: time,
            composition_offset: 0,
            duration,
            shift: Time::zero(time.scale()),
            captured_at: None,
        }
    }

    /// Decode time, presentation time and duration of pictures shown at these milliseconds.
    fn pictures(shown: &[i64], depth: usize) -> Vec<(i64, i64, u32)> {
        let mut video = Video::new(Some(25.0));
        let mut out: Vec<_> =
            shown.iter().filter_map(|ms| video.push(frame(Time::from_micros(ms * 1_000), 0), depth)).collect();
        out.extend(video.cut());
        let millis = |time: Time| time.micros() / 1_000;
        out.iter().map(|f| (millis(f.decode_time), millis(f.presentation_time()), f.duration / 1_000)).collect()
    }

    #[test]
    fn a_picture_lasts_until_the_next() {
        assert_eq!(
            pictures(&[100, 140, 190, 230], 0),
            [(100, 100, 40), (140, 140, 50), (190, 190, 40), (230, 230, 40)]
        );
    }

    #[test]
    fn pictures_out_of_order_are_shown_when_they_say() {
        let out = pictures(&[100, 220, 180, 140, 340, 300, 260], 2);
        let decoded: Vec<_> = out.iter().map(|(decoded, ..)| *decoded).collect();
        assert_eq!(decoded, [20, 60, 100, 140, 180, 220, 260]);
        let shown: Vec<_> = out.iter().map(|(_, shown, _)| *shown).collect();
        assert_eq!(shown, [100, 220, 180, 140, 340, 300, 260]);
        assert!(out.iter().all(|(decoded, shown, _)| decoded <= shown), "{out:?}");
    }

    #[test]
    fn a_picture_before_a_jump_keeps_the_usual_length() {
        let out = pictures(&[100, 140, 60_000, 50], 0);
        assert_eq!(out.iter().map(|(_, _, lasts)| *lasts).collect::<Vec<_>>(), [40, 40, 40, 40]);
    }

    #[test]
    fn sound_goes_on_where_it_ended() {
        let rate = Timescale::new(44_100).unwrap();
        let mut audio = Audio::default();
        // Rounded to microseconds, 23.22 ms apart; then a hole.
        let at = |micros| Time::from_micros(micros).rescale(rate);
        let starts: Vec<_> =
            [0, 23_220, 46_440, 69_660, 200_000].map(|t| audio.push(frame(at(t), 1_024)).decode_time.ticks()).into();
        assert_eq!(starts, [0, 1_024, 2_048, 3_072, 8_820]);
    }
}
