//! The plugin, as the host calls it: a transcoder of each broadcast that makes nothing.

wit_bindgen::generate!({
    inline: "
        package millrace:health;
        world health {
            include millrace:plugin/plugin@0.2.1;
            include millrace:plugin/uses-timers@0.2.1;
            export millrace:plugin/transcoder@0.2.1;
        }
    ",
    path: "../../wit",
    world: "millrace:health/health",
    generate_all,
});

use std::cell::RefCell;
use std::collections::BTreeMap;

use exports::millrace::plugin::transcoder::{self, Decision};
use exports::millrace::plugin::{about, wake};
use millrace::plugin::log::{self, Level};
use millrace::plugin::media::{Context, Description, Fragment, Loss, Track};
use millrace::plugin::metrics::{Alarm, Counter, Gauge, Labels};
use millrace::plugin::timers;
use millrace::plugin::types::{Entry, Error, TrackKind};

use crate::measure::{self, Coming, Found, Measure, Sample};
use crate::settings::Settings;

/// How often it is looked whether anything has come, in milliseconds.
const LOOK: u32 = 500;

thread_local! {
    /// An instance has one broadcast.
    static HEALTH: RefCell<Option<Health>> = const { RefCell::new(None) };
}

struct Health {
    settings: Settings,
    tracks: BTreeMap<u32, Watched>,
    stalled: Alarm,
    /// Looks since something came.
    idle: u32,
    /// The time of the source's newest fragment is waited for.
    has_begun: bool,
}

struct Watched {
    name: String,
    is_video: bool,
    scale: f64,
    measure: Measure,
    gop: Gauge,
    bitrate: Gauge,
    frame_rate: Gauge,
    b_frames: Gauge,
    gaps: Counter,
    alarms: BTreeMap<&'static str, Alarm>,
}

fn with<T>(run: impl FnOnce(&mut Health) -> Result<T, Error>) -> Result<T, Error> {
    HEALTH.with_borrow_mut(|health| run(health.as_mut().ok_or(Error::Closed)?))
}

impl Watched {
    fn new(track: &Track) -> Result<Self, Error> {
        let name = track.name();
        // An instance of a broadcast has no track of its own for a label.
        let more = [Entry { key: "of".into(), value: name.clone() }];
        let gauge = |what| Gauge::open(what, Labels::BROADCAST, &more);
        Ok(Self {
            is_video: track.kind() == TrackKind::Video,
            scale: f64::from(track.timescale()),
            measure: Measure::default(),
            gop: gauge("gop_seconds")?,
            bitrate: gauge("bits_per_second")?,
            frame_rate: gauge("frames_per_second")?,
            b_frames: gauge("reordered_frames")?,
            gaps: Counter::open("gaps", Labels::BROADCAST, &more)?,
            alarms: BTreeMap::new(),
            name,
        })
    }

    fn tell(&mut self, found: &Found, settings: &Settings) -> Result<(), Error> {
        let set = |gauge: &Gauge, value: Option<f64>| value.into_iter().for_each(|value| gauge.set(value));
        set(&self.bitrate, found.bitrate);
        set(&self.frame_rate, found.frame_rate);
        if let Some(gap) = found.gap {
            self.gaps.add(1);
            log::write(Level::Warn, &format!("{}: a gap of {gap:.3} s", self.name));
        }
        if !self.is_video {
            return Ok(());
        }
        set(&self.gop, found.gop);
        set(&self.b_frames, found.b_frames.map(f64::from));
        for (name, text) in measure::judge(found, settings) {
            let Some(text) = text else {
                if let Some(alarm) = self.alarms.get(name) {
                    alarm.clear();
                }
                continue;
            };
            if !self.alarms.contains_key(name) {
                self.alarms.insert(name, Alarm::open(name)?);
            }
            self.alarms[name].raise(&format!("{}: {text}", self.name));
        }
        Ok(())
    }
}

struct Plugin;

impl about::Guest for Plugin {
    fn describe(settings: String, about: &Description) -> Result<(), Error> {
        Settings::read(&settings).map_err(Error::Invalid)?;
        about.want("transcoder", TrackKind::Video)?;
        about.want("transcoder", TrackKind::Audio)?;
        about.set_scope("transcoder", "broadcast")?;
        about.set_summary("Measures the tracks of a source, and raises alarms")
    }
}

impl transcoder::Guest for Plugin {
    fn start(context: &Context) -> Result<(), Error> {
        let settings = Settings::read(&context.settings()).map_err(Error::Invalid)?;
        let stalled = Alarm::open("stalled")?;
        HEALTH.set(Some(Health { settings, tracks: BTreeMap::new(), stalled, idle: 0, has_begun: false }));
        if let Err(error) = timers::wake_after(LOOK) {
            let text = format!("a stalled source is not noticed: {error:?} (grants = {{ timers = true }})");
            log::write(Level::Info, &text);
        }
        Ok(())
    }

    fn on_track(track: Track) -> Result<Decision, Error> {
        with(|health| {
            let watched = Watched::new(&track)?;
            health.tracks.insert(track.id(), watched);
            Ok(Decision::Accept)
        })
    }

    fn on_fragment(fragment: &Fragment) -> Result<(), Error> {
        with(|health| {
            if health.idle > 0 {
                health.stalled.clear();
            }
            (health.idle, health.has_begun) = (0, true);
            let Some(watched) = health.tracks.get_mut(&fragment.track()) else { return Ok(()) };
            let info = fragment.info();
            let scale = watched.scale;
            let samples: Vec<Sample> = fragment
                .samples()
                .iter()
                .map(|sample| Sample {
                    at: sample.timing.decode_time as f64 / scale,
                    duration: f64::from(sample.timing.duration) / scale,
                    offset: f64::from(sample.timing.composition_offset) / scale,
                })
                .collect();
            let coming = Coming { size: info.size, starts_group: info.object == 0, samples: &samples };
            let found = watched.measure.look(&coming, &health.settings);
            watched.tell(&found, &health.settings)
        })
    }

    fn on_gap(loss: &Loss) -> Result<(), Error> {
        with(|health| {
            // What this plugin missed is no gap of the source.
            if let Some(watched) = health.tracks.get_mut(&loss.track()) {
                watched.measure = Measure::default();
            }
            Ok(())
        })
    }

    fn on_track_end(track: u32, why: String) -> Result<(), Error> {
        with(|health| {
            if why != "publisher-lost" {
                health.tracks.remove(&track);
            }
            Ok(())
        })
    }

    fn stop(_why: String) -> Result<(), Error> {
        HEALTH.set(None);
        Ok(())
    }
}

impl wake::Guest for Plugin {
    fn on_wake(_ticket: u64) -> Result<(), Error> {
        with(|health| {
            health.idle = health.idle.saturating_add(1);
            let seconds = f64::from(health.idle.saturating_sub(1)) * f64::from(LOOK) / 1_000.0;
            if health.has_begun && seconds >= health.settings.stalled {
                health.stalled.raise(&format!("nothing has come for {seconds:.0} s"));
            }
            timers::wake_after(LOOK).map(drop)
        })
    }
}

export!(Plugin);
