//! What is measured of a track, and what is wrong with it.

use crate::settings::Settings;

/// Rates are measured over so much media, in seconds.
const WINDOW: f64 = 2.0;

/// A sample: its times in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Its decode time.
    pub at: f64,
    /// How long it lasts.
    pub duration: f64,
    /// Presentation time minus decode time.
    pub offset: f64,
}

/// A fragment, as far as it matters here.
#[derive(Debug)]
pub struct Coming<'a> {
    /// In bytes.
    pub size: u32,
    /// It begins a group.
    pub starts_group: bool,
    /// In decode order.
    pub samples: &'a [Sample],
}

/// What is known once a group or a window is complete. What is none is not new.
#[derive(Debug, Default, PartialEq)]
pub struct Found {
    /// The length of the group that has ended, in seconds.
    pub gop: Option<f64>,
    /// The frames of that group that are shown before one that was decoded before them.
    pub b_frames: Option<u32>,
    /// Bits per second.
    pub bitrate: Option<f64>,
    /// Samples per second.
    pub frame_rate: Option<f64>,
    /// A hole in the decode times, in seconds.
    pub gap: Option<f64>,
}

/// What is measured of one track.
#[derive(Debug, Default)]
pub struct Measure {
    end: Option<f64>,
    group: Option<f64>,
    reordered: u32,
    newest_shown: f64,
    window: Option<(f64, f64, u32)>,
}

impl Measure {
    /// Looks at the next fragment, in decode order.
    pub fn look(&mut self, coming: &Coming<'_>, settings: &Settings) -> Found {
        let mut found = Found::default();
        let (Some(first), Some(last)) = (coming.samples.first(), coming.samples.last()) else { return found };
        if let Some(end) = self.end {
            let gap = first.at - end;
            if gap > settings.max_gap || gap < -settings.max_gap {
                found.gap = Some(gap);
                // What was measured before does not go on.
                *self = Self::default();
            }
        }
        if coming.starts_group {
            if let Some(begun) = self.group.replace(first.at) {
                (found.gop, found.b_frames) = (Some(first.at - begun), Some(self.reordered));
            }
            (self.reordered, self.newest_shown) = (0, f64::MIN);
        }
        for sample in coming.samples {
            let shown = sample.at + sample.offset;
            // Half a millisecond is rounding.
            if shown < self.newest_shown - 0.0005 {
                self.reordered += 1;
            }
            self.newest_shown = self.newest_shown.max(shown);
        }
        let (since, bits, samples) = self.window.get_or_insert((first.at, 0.0, 0));
        let length = first.at - *since;
        if length >= WINDOW {
            (found.bitrate, found.frame_rate) = (Some(*bits / length), Some(f64::from(*samples) / length));
            (*since, *bits, *samples) = (first.at, 0.0, 0);
        }
        *bits += f64::from(coming.size) * 8.0;
        *samples += coming.samples.len() as u32;
        self.end = Some(last.at + last.duration);
        found
    }
}

/// An alarm of a track's: its name, and what it says; none where all is well.
pub type Alarm = (&'static str, Option<String>);

/// The alarms that a finding on video decides.
pub fn judge(found: &Found, settings: &Settings) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    if let Some(gop) = found.gop {
        let long = gop > settings.max_gop + 0.001;
        let text = || format!("a group of {gop:.2} s, longer than {} s", settings.max_gop);
        alarms.push(("long_gop", long.then(text)));
    }
    if let Some(count) = found.b_frames.filter(|_| !settings.b_frames) {
        let text = || format!("{count} frames of a group are shown out of decode order, which costs latency");
        alarms.push(("b_frames", (count > 0).then(text)));
    }
    if let Some(rate) = found.bitrate {
        let (least, most) = (settings.min_bitrate, settings.max_bitrate);
        let low = || format!("{rate:.0} b/s, less than {least:.0}");
        alarms.push(("low_bitrate", (rate < least).then(low)));
        let high = || format!("{rate:.0} b/s, more than {most:.0}");
        alarms.push(("high_bitrate", (most > 0.0 && rate > most).then(high)));
    }
    if let Some(rate) = found.frame_rate {
        let text = || format!("{rate:.2} frames a second, fewer than {}", settings.min_frame_rate);
        alarms.push(("low_frame_rate", (rate < settings.min_frame_rate * 0.99).then(text)));
    }
    alarms
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of 40 ms with these offsets in turn, in groups of so many, each of 1000 bytes; from `at`.
    fn run(measure: &mut Measure, at: f64, frames: u32, group: u32, offsets: &[f64]) -> Vec<Found> {
        let settings = Settings::default();
        let look = |n: u32| {
            let offset = offsets[n as usize % offsets.len()];
            let samples = [Sample { at: at + f64::from(n) * 0.04, duration: 0.04, offset }];
            measure.look(&Coming { size: 1_000, starts_group: n % group == 0, samples: &samples }, &settings)
        };
        (0..frames).map(look).collect()
    }

    #[test]
    fn groups_and_rates_are_measured() {
        let found = run(&mut Measure::default(), 10.0, 101, 50, &[0.0]);
        let gop = found[50].gop.unwrap();
        assert!((gop - 2.0).abs() < 1e-9 && found[50].b_frames == Some(0));
        let (bits, frames) = (found[50].bitrate.unwrap(), found[50].frame_rate.unwrap());
        assert!((bits - 200_000.0).abs() < 1.0 && (frames - 25.0).abs() < 1e-6, "{bits} {frames}");
        assert!(found.iter().all(|found| found.gap.is_none()));
    }

    #[test]
    fn frames_that_are_shown_out_of_order_are_counted() {
        // Decoded I P B B: shown I B B P.
        let found = run(&mut Measure::default(), 0.0, 9, 4, &[0.04, 0.12, 0.0, 0.0]);
        assert_eq!((found[4].b_frames, found[8].b_frames), (Some(2), Some(2)));
        let settings = Settings { b_frames: false, ..Settings::default() };
        let alarms = judge(&found[4], &settings);
        assert!(alarms.iter().any(|(name, text)| *name == "b_frames" && text.is_some()), "{alarms:?}");
    }

    #[test]
    fn holes_are_gaps_and_nothing_is_measured_across_them() {
        let mut measure = Measure::default();
        run(&mut measure, 0.0, 30, 100, &[0.0]);
        let found = run(&mut measure, 5.0, 60, 100, &[0.0]);
        assert!((found[0].gap.unwrap() - 3.8).abs() < 1e-9);
        assert_eq!(found[0].gop, None);
        let rate = found[50].frame_rate.unwrap();
        assert!((rate - 25.0).abs() < 1e-6, "{rate}");
        assert!(run(&mut measure, 0.0, 1, 1, &[0.0])[0].gap.unwrap() < 0.0, "back in time");
    }

    #[test]
    fn alarms_are_raised_and_cleared() {
        let settings =
            Settings { min_bitrate: 100.0, max_bitrate: 1_000.0, min_frame_rate: 25.0, ..Settings::default() };
        let raised = |found: Found| -> Vec<_> {
            judge(&found, &settings).into_iter().filter(|(_, text)| text.is_some()).map(|(name, _)| name).collect()
        };
        assert_eq!(raised(Found { gop: Some(4.0), ..Found::default() }), Vec::<&str>::new());
        assert_eq!(raised(Found { gop: Some(8.0), ..Found::default() }), ["long_gop"]);
        assert_eq!(raised(Found { bitrate: Some(50.0), ..Found::default() }), ["low_bitrate"]);
        assert_eq!(raised(Found { bitrate: Some(5_000.0), ..Found::default() }), ["high_bitrate"]);
        assert_eq!(raised(Found { frame_rate: Some(12.5), ..Found::default() }), ["low_frame_rate"]);
        assert_eq!(judge(&Found::default(), &settings), []);
    }
}
