//! The plugin, as the host calls it.

wit_bindgen::generate!({ path: "../../wit", world: "filter-plugin", generate_all });

use std::cell::RefCell;

use exports::millrace::plugin::about;
use exports::millrace::plugin::filter::{self, Decision};
use millrace::plugin::media::{Context, Description, Fragment, Loss, Marks, Track, Verdict};
use millrace::plugin::metrics::{Alarm, Counter, Gauge, Labels};
use millrace::plugin::types::{Error, TrackKind};

use crate::cap::{self, Cap, Coming, Settings};

/// What `bits per second` is measured over, in seconds.
const MEASURED: f64 = 2.0;

thread_local! {
    /// An instance has one track.
    static TRACK: RefCell<Option<Capped>> = const { RefCell::new(None) };
}

struct Capped {
    settings: Settings,
    cap: Cap,
    scale: f64,
    frames: Counter,
    groups: Counter,
    passed: Gauge,
    over: Alarm,
    /// Since when, and how many bits since then.
    measured: (f64, f64),
}

struct Plugin;

impl about::Guest for Plugin {
    fn describe(settings: String, about: &Description) -> Result<(), Error> {
        Settings::read(&settings).map_err(Error::Invalid)?;
        about.want("filter", TrackKind::Video)?;
        about.set_scope("filter", "track")?;
        about.set_summary("Discards frames, and groups where it must, to keep video below a bit rate")
    }
}

impl filter::Guest for Plugin {
    fn start(context: &Context) -> Result<(), Error> {
        let settings = Settings::read(&context.settings()).map_err(Error::Invalid)?;
        let by = Labels::BROADCAST | Labels::TRACK;
        TRACK.set(Some(Capped {
            settings,
            cap: Cap::new(settings),
            scale: 1.0,
            frames: Counter::open("discarded_fragments", by, &[])?,
            groups: Counter::open("discarded_groups", by, &[])?,
            passed: Gauge::open("passed_bits_per_second", by, &[])?,
            over: Alarm::open("over_cap")?,
            measured: (0.0, 0.0),
        }));
        Ok(())
    }

    fn on_track(track: Track) -> Result<Decision, Error> {
        TRACK.with_borrow_mut(|capped| {
            let capped = capped.as_mut().ok_or(Error::Closed)?;
            capped.scale = f64::from(track.timescale());
            // A publisher that returns begins anew.
            (capped.cap, capped.measured) = (Cap::new(capped.settings), (0.0, 0.0));
            Ok(Decision::Accept)
        })
    }

    fn on_fragment(fragment: &Fragment, verdict: &Verdict) -> Result<(), Error> {
        TRACK.with_borrow_mut(|capped| {
            let capped = capped.as_mut().ok_or(Error::Closed)?;
            let info = fragment.info();
            let at = info.decode_time as f64 / capped.scale;
            let starts_group = info.object == 0;
            let discardable = info.marks & Marks::DISCARDABLE == Marks::DISCARDABLE;
            match capped.cap.decide(Coming { at, size: info.size, starts_group, discardable }) {
                cap::Decision::Pass => {
                    if starts_group {
                        capped.over.clear();
                    }
                    capped.measured.1 += f64::from(info.size) * 8.0;
                }
                cap::Decision::Discard => {
                    capped.frames.add(1);
                    verdict.discard();
                }
                cap::Decision::DiscardGroup => {
                    if starts_group {
                        capped.groups.add(1);
                        let rate = capped.settings.bitrate;
                        capped.over.raise(&format!("the video is above {rate} b/s: whole groups are discarded"));
                    }
                    verdict.discard();
                }
            }
            let (since, bits) = capped.measured;
            if at < since || since == 0.0 {
                capped.measured = (at, 0.0);
            } else if at - since >= MEASURED {
                capped.passed.set(bits / (at - since));
                capped.measured = (at, 0.0);
            }
            Ok(())
        })
    }

    fn on_gap(_loss: &Loss) -> Result<(), Error> {
        Ok(())
    }

    fn on_track_end(_track: u32, _why: String) -> Result<(), Error> {
        Ok(())
    }

    fn stop(_why: String) -> Result<(), Error> {
        TRACK.set(None);
        Ok(())
    }
}

export!(Plugin);
