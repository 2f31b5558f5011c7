//! The GOPs of one track, and the metrics and the alarm made of them.

use crate::millrace::plugin::media::{Info, Track};
use crate::millrace::plugin::metrics::{Alarm, Counter, Gauge, Histogram, Labels};
use crate::millrace::plugin::types::Error;
use crate::settings::Settings;

/// Upper bounds of the sizes of fragments, in bytes.
const FRAGMENT_BYTES: [f64; 7] = [1e3, 4e3, 16e3, 64e3, 256e3, 1e6, 4e6];

/// Measures one track.
pub struct Gops {
    settings: Settings,
    /// Ticks per second.
    timescale: f64,
    /// The group in progress; none before the first and after a gap.
    group: Option<Group>,
    alarm_raised: bool,
    groups: Counter,
    gop_seconds: Gauge,
    bitrate_bps: Gauge,
    fragment_bytes: Histogram,
    long_gop: Alarm,
}

/// What has come of a group so far. Times are in ticks.
struct Group {
    number: u64,
    start: i64,
    end: i64,
    bytes: u64,
}

impl Gops {
    /// Opens the metrics of a track.
    pub fn new(track: &Track, settings: Settings) -> Result<Self, Error> {
        let by = Labels::BROADCAST | Labels::TRACK;
        Ok(Self {
            settings,
            timescale: track.timescale().into(),
            group: None,
            alarm_raised: false,
            groups: Counter::open("groups", by, &[])?,
            gop_seconds: Gauge::open("gop_seconds", by, &[])?,
            bitrate_bps: Gauge::open("bitrate_bps", by, &[])?,
            fragment_bytes: Histogram::open("fragment_bytes", by, &[], &FRAGMENT_BYTES)?,
            long_gop: Alarm::open("long_gop")?,
        })
    }

    /// Takes the next fragment. The first fragment of a group ends the group before it.
    pub fn add(&mut self, fragment: &Info) {
        self.fragment_bytes.observe(fragment.size.into());
        if let Some(ended) = self.group.take_if(|group| group.number != fragment.group) {
            self.count(&ended);
        }
        let group = self.group.get_or_insert(Group {
            number: fragment.group,
            start: fragment.decode_time,
            end: fragment.decode_time,
            bytes: 0,
        });
        group.end = fragment.decode_time + fragment.duration;
        group.bytes += u64::from(fragment.size);
        let seconds = group.seconds(self.timescale);
        // The alarm does not wait for the end of a group: it may never come.
        if seconds > self.settings.max_gop_seconds && !self.alarm_raised {
            self.long_gop.raise(&format!("a GOP is longer than {} s", self.settings.max_gop_seconds));
            self.alarm_raised = true;
        }
    }

    /// Forgets the group in progress: after a gap its length is not known.
    pub fn forget_group(&mut self) {
        self.group = None;
    }

    /// Counts a group that is complete.
    fn count(&mut self, group: &Group) {
        let seconds = group.seconds(self.timescale);
        self.groups.add(1);
        self.gop_seconds.set(seconds);
        if seconds > 0.0 {
            self.bitrate_bps.set(group.bytes as f64 * 8.0 / seconds);
        }
        if seconds <= self.settings.max_gop_seconds && self.alarm_raised {
            self.long_gop.clear();
            self.alarm_raised = false;
        }
    }
}

impl Group {
    /// Its length so far, in seconds.
    fn seconds(&self, timescale: f64) -> f64 {
        (self.end - self.start) as f64 / timescale
    }
}
