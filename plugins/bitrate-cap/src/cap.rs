//! Which fragments pass: a leaky bucket, filled by what passes and drained at the cap.
//!
//! While the bucket has room, everything passes. Where it is full, fragments that nothing depends on are discarded. Where it is more than
//! full when a group begins, the group is discarded as a whole; the bucket drains meanwhile. A group that has begun to pass keeps all that
//! others depend on.

use serde::Deserialize;

/// The plugin's part of the configuration: `settings.schema.json` describes it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Bits per second.
    pub bitrate: u32,
    /// Seconds.
    #[serde(default = "window")]
    pub window: f64,
}

fn window() -> f64 {
    4.0
}

impl Settings {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn read(text: &str) -> Result<Self, String> {
        let settings: Self = serde_json::from_str(text).map_err(|error| format!("the settings: {error}"))?;
        if !(10_000..=1_000_000_000).contains(&settings.bitrate) {
            return Err(format!("bitrate is {}, and should be 10000 to 1000000000", settings.bitrate));
        }
        if !(0.5..=60.0).contains(&settings.window) {
            return Err(format!("window is {}, and should be 0.5 to 60 seconds", settings.window));
        }
        Ok(settings)
    }
}

/// A fragment, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Coming {
    /// Its decode time, in seconds.
    pub at: f64,
    /// In bytes.
    pub size: u32,
    /// It begins a group.
    pub starts_group: bool,
    /// Nothing depends on it.
    pub discardable: bool,
}

/// What becomes of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It passes.
    Pass,
    /// It is discarded alone.
    Discard,
    /// It is discarded, and so is the rest of its group.
    DiscardGroup,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Cap {
    settings: Settings,
    /// Bits that have passed and not drained yet.
    level: f64,
    last: Option<f64>,
    discarding: bool,
}

impl Cap {
    /// An empty bucket.
    pub fn new(settings: Settings) -> Self {
        Self { settings, level: 0.0, last: None, discarding: false }
    }

    /// True while a group is discarded.
    pub fn is_discarding(&self) -> bool {
        self.discarding
    }

    /// Decides what becomes of the next fragment, in decode order.
    pub fn decide(&mut self, coming: Coming) -> Decision {
        let rate = f64::from(self.settings.bitrate);
        // Time that goes back, or a long absence, drains nothing or everything.
        let passed = (coming.at - self.last.unwrap_or(coming.at)).max(0.0);
        self.last = Some(coming.at);
        self.level = (self.level - passed * rate).max(0.0);
        let (room, bits) = (rate * self.settings.window, f64::from(coming.size) * 8.0);
        if coming.starts_group {
            self.discarding = self.level > room;
        }
        if self.discarding {
            return Decision::DiscardGroup;
        }
        // Half of the room is for what others depend on.
        if coming.discardable && self.level + bits > room / 2.0 {
            return Decision::Discard;
        }
        self.level += bits;
        Decision::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 1_000_000;

    /// What is passed and discarded of so many seconds of 30 frames a second and groups of 2 s, where every second frame may be discardable:
    /// bits passed, frames discarded, groups discarded, groups.
    fn run(bitrate: f64, seconds: u32, discardable: bool) -> (f64, u32, u32, u32) {
        let mut cap = Cap::new(Settings { bitrate: RATE, window: 4.0 });
        let (mut bits, mut frames, mut groups) = (0.0, 0, 0);
        let mut holes = 0;
        let size = (bitrate / 30.0 / 8.0) as u32;
        for n in 0..seconds * 30 {
            let starts_group = n % 60 == 0;
            let coming = Coming {
                at: f64::from(n) / 30.0,
                size,
                starts_group,
                discardable: discardable && !starts_group && n % 2 == 1,
            };
            match cap.decide(coming) {
                Decision::Pass => bits += f64::from(size) * 8.0,
                Decision::Discard => {
                    assert!(coming.discardable, "others depend on it");
                    frames += 1;
                }
                Decision::DiscardGroup => {
                    groups += u32::from(starts_group);
                    holes += u32::from(!starts_group);
                }
            }
        }
        assert_eq!(holes, groups * 59, "a group is discarded as a whole");
        (bits, frames, groups, seconds / 2)
    }

    #[test]
    fn what_is_below_the_cap_passes() {
        let (_, frames, groups, _) = run(950_000.0, 60, true);
        assert_eq!((frames, groups), (0, 0));
    }

    #[test]
    fn discardable_frames_go_first() {
        let (bits, frames, groups, _) = run(1_500_000.0, 60, true);
        assert!(frames > 300 && groups == 0, "{frames} frames, {groups} groups");
        assert!(bits / 60.0 < f64::from(RATE) * 1.1, "{bits}");
    }

    #[test]
    fn groups_go_where_frames_do_not_suffice() {
        for (discardable, factor) in [(false, 2.0), (true, 4.0)] {
            let (bits, _, groups, of) = run(f64::from(RATE) * factor, 120, discardable);
            assert!(groups > 5 && groups < of, "{groups} of {of} groups");
            // What may be exceeded at the beginning counts too.
            assert!(bits / 120.0 < f64::from(RATE) * 1.15, "{bits}");
        }
    }

    #[test]
    fn settings_are_checked() {
        assert_eq!(Settings::read(r#"{"bitrate":2000000}"#), Ok(Settings { bitrate: 2_000_000, window: 4.0 }));
        for (settings, says) in [
            ("{}", "bitrate"),
            (r#"{"bitrate":1}"#, "bitrate is 1"),
            (r#"{"bitrate":20000,"window":0}"#, "window is 0"),
            (r#"{"bitrate":20000,"burst":1}"#, "burst"),
        ] {
            let error = Settings::read(settings).unwrap_err();
            assert!(error.contains(says), "{settings}: {error}");
        }
    }
}
