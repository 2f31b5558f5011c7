//! One video track: first measured, then encoded.

use crate::choice::{self, Measured, Offer};
use crate::feedback::Feedback;
use crate::millrace::plugin::codec::{VideoEncoder, VideoSettings};
use crate::millrace::plugin::log::{self, Level};
use crate::millrace::plugin::media::{Fragment, Rendition, Track};
use crate::millrace::plugin::metrics::{Gauge, Labels};
use crate::millrace::plugin::types::{Entry, Error};
use crate::settings::Settings;

/// A track of the source.
pub struct Title {
    track: Track,
    /// The group that is being given.
    group: Option<u64>,
    /// Whole groups that were measured; none before the first one began.
    groups: Option<u32>,
    bytes: u64,
    /// In ticks of the track.
    ticks: i64,
    rungs: Option<Vec<Rung>>,
}

/// A rung that is encoded.
struct Rung {
    name: String,
    encoder: VideoEncoder,
    /// None where a quality is held.
    feedback: Option<Feedback>,
    target: Gauge,
    /// Bytes that the encoder had made when the last group began.
    bytes: u64,
}

impl Title {
    pub fn new(track: Track) -> Self {
        Self { track, group: None, groups: None, bytes: 0, ticks: 0, rungs: None }
    }

    /// The names of the rungs that were chosen.
    pub fn rungs(&self) -> impl Iterator<Item = &str> {
        self.rungs.iter().flatten().map(|rung| rung.name.as_str())
    }

    /// Fragments are missing: what was measured of this group is worth nothing.
    pub fn gap(&mut self) {
        (self.bytes, self.ticks) = (0, 0);
    }

    pub fn fragment(&mut self, fragment: &Fragment, settings: &Settings, ladder: &[Rendition]) -> Result<(), Error> {
        let info = fragment.info();
        if self.group != Some(info.group) {
            self.group = Some(info.group);
            self.group_begins(settings, ladder)?;
        }
        self.bytes += u64::from(info.size);
        self.ticks += info.duration;
        self.rungs.iter().flatten().try_for_each(|rung| rung.encoder.submit(fragment))
    }

    /// A group begins, and the one before is whole.
    fn group_begins(&mut self, settings: &Settings, ladder: &[Rendition]) -> Result<(), Error> {
        let seconds = self.ticks as f64 / f64::from(self.track.timescale());
        if let Some(rungs) = &mut self.rungs {
            (self.bytes, self.ticks) = (0, 0);
            return rungs.iter_mut().try_for_each(|rung| rung.follow(seconds));
        }
        let measured = self.groups.map_or(0, |groups| groups + 1);
        self.groups = Some(measured);
        if measured < settings.observe || seconds <= 0.0 {
            return Ok(());
        }
        let bitrate = self.bytes as f64 * 8.0 / seconds;
        (self.bytes, self.ticks) = (0, 0);
        self.rungs = Some(self.open(bitrate, settings, ladder)?);
        Ok(())
    }

    /// Chooses the rungs and opens their encoders.
    fn open(&self, bitrate: f64, settings: &Settings, ladder: &[Rendition]) -> Result<Vec<Rung>, Error> {
        let Some(size) = self.track.size() else { return Ok(Vec::new()) };
        let pixels = |width: u32, height: u32| u64::from(width) * u64::from(height);
        let fitting: Vec<_> = ladder
            .iter()
            .filter_map(|rendition| Some((rendition, VideoSettings::of(rendition, &self.track)?)))
            .collect();
        let offers: Vec<_> = fitting
            .iter()
            .map(|(_, settings)| {
                let size = settings.size();
                Offer { pixels: pixels(size.width, size.height), bitrate: settings.bitrate() }
            })
            .collect();
        let source = Measured { pixels: pixels(size.width, size.height), bitrate };
        let mut rungs = Vec::new();
        for chosen in choice::choose(&offers, source, settings) {
            let (rendition, video) = &fitting[chosen.index];
            let feedback = match (chosen.bitrate, video.bitrate()) {
                (Some(target), Some(most)) => {
                    video.set_bitrate(Some(target))?;
                    Some(Feedback::new(target, (f64::from(most) * settings.floor) as u32, most))
                }
                _ => None,
            };
            let name = rendition.name();
            let encoder = VideoEncoder::open(&name, &self.track, video)?;
            let label = Entry { key: "rung".into(), value: name.clone() };
            let target = Gauge::open("target_bitrate", Labels::BROADCAST, &[label])?;
            target.set(chosen.bitrate.map_or(0.0, f64::from));
            let bytes = encoder.statistics().bytes();
            rungs.push(Rung { name, encoder, feedback, target, bytes });
        }
        let words: Vec<_> = rungs
            .iter()
            .map(|rung| match &rung.feedback {
                Some(feedback) => format!("{} with {} kb/s", rung.name, feedback.target() / 1000),
                None => rung.name.clone(),
            })
            .collect();
        let chosen = words.join(", ");
        let (source, of) = ((bitrate / 1000.0) as u64, ladder.len());
        log::write(
            Level::Info,
            &format!("the source takes {source} kb/s, and gets {} of {of} rungs: {chosen}", rungs.len()),
        );
        Ok(rungs)
    }
}

impl Rung {
    /// The group before took `seconds`: its bits say what the next ones need.
    fn follow(&mut self, seconds: f64) -> Result<(), Error> {
        let made = self.encoder.statistics().bytes();
        let bytes = made.saturating_sub(std::mem::replace(&mut self.bytes, made));
        let Some(feedback) = self.feedback.as_mut().filter(|_| seconds > 0.0 && bytes > 0) else { return Ok(()) };
        if let Some(target) = feedback.group(bytes as f64 * 8.0 / seconds) {
            let settings = self.encoder.settings();
            settings.set_bitrate(Some(target))?;
            self.encoder.reconfigure(&settings)?;
            self.target.set(f64::from(target));
        }
        Ok(())
    }
}
