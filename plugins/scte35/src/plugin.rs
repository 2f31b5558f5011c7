//! The plugin, as the host calls it.

wit_bindgen::generate!({
    inline: "
        package millrace:scte35;
        world scte35 {
            include millrace:plugin/filter-plugin@0.2.1;
            include millrace:plugin/takes-messages@0.2.1;
        }
    ",
    path: "../../wit",
    world: "millrace:scte35/scte35",
    generate_all,
});

use std::cell::RefCell;
use std::collections::BTreeMap;

use exports::millrace::plugin::filter::{self, Decision};
use exports::millrace::plugin::{about, messages};
use millrace::plugin::media::{Context, Description, Event, Fragment, Loss, Track, Verdict};
use millrace::plugin::metrics::{Alarm, Counter, Labels};
use millrace::plugin::state::Slot;
use millrace::plugin::types::{Entry, Error, TrackKind};

use crate::message;
use crate::schedule::{Cue, Schedule};
use crate::section::{self, Kind};
use crate::settings::Settings;

const SCTE35: &str = "urn:scte:scte35:2013:bin";
/// The first byte of a section (ANSI/SCTE 35, 9.6: `table_id`).
const TABLE: u8 = 0xfc;
/// Samples of data tracks that are longer hold no section.
const LONGEST: u32 = 4_096;

thread_local! {
    /// An instance has one broadcast.
    static CUES: RefCell<Option<Cues>> = const { RefCell::new(None) };
}

struct Cues {
    settings: Settings,
    tracks: BTreeMap<u32, Known>,
    /// The track that cues are written on: the first of video.
    video: Option<Video>,
    schedule: Schedule,
    /// What came before there was video to write it on, by the ticks and timescale of its own track.
    early: Vec<(Vec<u8>, i64, u32)>,
    slot: Slot,
    malformed: Alarm,
    /// The event of the message before: a message that names none opens one, or ends it.
    event: u32,
}

struct Known {
    kind: TrackKind,
    scale: u32,
}

#[derive(Clone, Copy)]
struct Video {
    track: u32,
    scale: u32,
    /// The end of what has passed.
    now: i64,
}

fn with<T>(run: impl FnOnce(&mut Cues) -> Result<T, Error>) -> Result<T, Error> {
    CUES.with_borrow_mut(|cues| run(cues.as_mut().ok_or(Error::Closed)?))
}

fn count(name: &str, kind: Kind) -> Result<(), Error> {
    let more = [Entry { key: "type".into(), value: kind.name().into() }];
    Counter::open(name, Labels::BROADCAST, &more)?.add(1);
    Ok(())
}

fn rescale(ticks: i64, from: u32, to: u32) -> i64 {
    let ticks = i128::from(ticks) * i128::from(to) / i128::from(from.max(1));
    i64::try_from(ticks).unwrap_or(i64::MAX)
}

impl Cues {
    /// Takes a section, in an event message of `id` if it came in one. `written`: it is on the video already.
    fn take(&mut self, section: &[u8], at: i64, scale: u32, id: Option<u32>, written: bool) -> Result<(), Error> {
        let said = match section::read(section) {
            Ok(said) => said,
            Err(problem) => {
                Counter::open("malformed", Labels::BROADCAST, &[])?.add(1);
                self.malformed.raise(&format!("a section of {} bytes: {problem}", section.len()));
                return Ok(());
            }
        };
        self.malformed.clear();
        if said.kind == Kind::Heartbeat {
            return Ok(());
        }
        let Some(video) = self.video else {
            if self.early.len() < 16 && !written {
                self.early.push((section.to_vec(), at, scale));
            }
            return Ok(());
        };
        let at = rescale(at, scale, video.scale).max(0);
        let cue = Cue { written, ..Cue::new(section, &said, at, id) };
        if self.schedule.add(cue, said.kind, video.scale) {
            count("cues", said.kind)?;
            self.save();
        }
        Ok(())
    }

    fn save(&self) {
        if let Ok(state) = serde_json::to_vec(&self.schedule) {
            // More than a slot holds is not kept: cues that are in the stream already need not be.
            let _ = self.slot.save(&state);
        }
    }

    /// Reads the sections of a data track whose samples are sections.
    fn read_samples(&mut self, fragment: &Fragment, scale: u32) -> Result<(), Error> {
        for sample in fragment.samples() {
            if sample.size == 0 || sample.size > LONGEST {
                continue;
            }
            let data = fragment.read(sample.offset, sample.size)?;
            if data.first() == Some(&TABLE) {
                let at = sample.timing.decode_time + i64::from(sample.timing.composition_offset);
                self.take(&data, at, scale, None, false)?;
            }
        }
        Ok(())
    }

    fn on_video(&mut self, mut video: Video, fragment: &Fragment, verdict: &Verdict) -> Result<(), Error> {
        let info = fragment.info();
        for (section, at, scale) in std::mem::take(&mut self.early) {
            self.take(&section, at, scale, None, false)?;
        }
        let starts_group = info.object == 0;
        let begins = starts_group && self.settings.repeat;
        let due = self.schedule.due(info.presentation_time, begins, video.scale);
        video.now = info.presentation_time + info.duration;
        self.video = Some(video);
        let mut edited: Option<Fragment> = None;
        for cue in &due {
            let event = event(cue, video.scale);
            let with = edited.as_ref().unwrap_or(fragment).with_event(&event)?;
            edited = Some(with);
        }
        if let Some(edited) = edited {
            Counter::open("events", Labels::BROADCAST, &[])?.add(due.len() as u64);
            self.save();
            verdict.replace(edited)?;
        }
        Ok(())
    }
}

fn event(cue: &Cue, scale: u32) -> Event {
    let duration = cue.duration.map(|ticks| ticks.saturating_mul(u64::from(scale)) / 90_000);
    Event {
        scheme_id_uri: SCTE35.into(),
        value: String::new(),
        id: cue.id,
        presentation_time: cue.at,
        duration: duration.and_then(|ticks| u32::try_from(ticks).ok()),
        message: cue.section.clone(),
    }
}

struct Plugin;

impl about::Guest for Plugin {
    fn describe(settings: String, about: &Description) -> Result<(), Error> {
        Settings::read(&settings).map_err(Error::Invalid)?;
        for kind in [TrackKind::Video, TrackKind::Audio, TrackKind::Data] {
            about.want("filter", kind)?;
        }
        about.set_scope("filter", "broadcast")?;
        about.set_summary("Writes SCTE-35 cues before the video they are for")
    }
}

impl filter::Guest for Plugin {
    fn start(context: &Context) -> Result<(), Error> {
        let settings = Settings::read(&context.settings()).map_err(Error::Invalid)?;
        let slot = Slot::open("instance")?;
        let saved = slot.load().and_then(|state| serde_json::from_slice(&state).ok());
        let malformed = Alarm::open("malformed_cue")?;
        let cues = Cues {
            settings,
            tracks: BTreeMap::new(),
            video: None,
            schedule: saved.unwrap_or_default(),
            early: Vec::new(),
            slot,
            malformed,
            event: 0,
        };
        CUES.set(Some(cues));
        Ok(())
    }

    fn on_track(track: Track) -> Result<Decision, Error> {
        with(|cues| {
            let known = Known { kind: track.kind(), scale: track.timescale() };
            if known.kind == TrackKind::Video && cues.video.is_none_or(|video| video.track == track.id()) {
                cues.video = Some(Video { track: track.id(), scale: known.scale, now: 0 });
            }
            cues.tracks.insert(track.id(), known);
            Ok(Decision::Accept)
        })
    }

    fn on_fragment(fragment: &Fragment, verdict: &Verdict) -> Result<(), Error> {
        with(|cues| {
            let id = fragment.track();
            let Some(Known { kind, scale }) = cues.tracks.get(&id) else { return Ok(()) };
            let (kind, scale) = (*kind, *scale);
            let video = cues.video.filter(|video| video.track == id);
            for event in fragment.events().into_iter().filter(|event| event.scheme_id_uri == SCTE35) {
                let Event { message, presentation_time, id, .. } = event;
                cues.take(&message, presentation_time, scale, Some(id), video.is_some())?;
            }
            if kind == TrackKind::Data {
                cues.read_samples(fragment, scale)?;
            }
            match video {
                Some(video) => cues.on_video(video, fragment, verdict),
                None => Ok(()),
            }
        })
    }

    fn on_gap(_loss: &Loss) -> Result<(), Error> {
        Ok(())
    }

    fn on_track_end(track: u32, _why: String) -> Result<(), Error> {
        with(|cues| {
            cues.tracks.remove(&track);
            if cues.video.is_some_and(|video| video.track == track) {
                cues.video = None;
            }
            Ok(())
        })
    }

    fn stop(_why: String) -> Result<(), Error> {
        CUES.set(None);
        Ok(())
    }
}

impl messages::Guest for Plugin {
    fn on_message(message: Vec<u8>) -> Result<Vec<u8>, Error> {
        with(|cues| {
            let video = cues.video.filter(|video| video.now > 0);
            let video = video.ok_or_else(|| Error::Overloaded("no video has come yet to put a cue on".into()))?;
            // An out-point opens an event of its own; what follows is of the same.
            let next = if cues.event == 0 { seed(video.now) } else { cues.event };
            let asked = message::read(&message, cues.settings.pre_roll, next).map_err(Error::Invalid)?;
            let said = section::read(&asked.section).map_err(Error::Invalid)?;
            cues.event = match said.kind {
                Kind::Out => asked.event.unwrap_or(next),
                _ => 0,
            };
            let at = video.now.saturating_add((asked.ahead * f64::from(video.scale)).round() as i64);
            cues.take(&asked.section, at, video.scale, None, false)?;
            let seconds = at as f64 / f64::from(video.scale);
            let answer = serde_json::json!({ "event": asked.event, "type": said.kind.name(), "at": seconds });
            Ok(answer.to_string().into_bytes())
        })
    }
}

/// A number for an event that was given none, of the time at which it was asked for.
fn seed(now: i64) -> u32 {
    ((now as u64) & 0x7fff_ffff) as u32 | 1
}

export!(Plugin);
