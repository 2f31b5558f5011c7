//! An encoder's own thread: it takes pictures from the source's ring, scales and encodes them, and writes what comes out to the
//! encoder's output track.
//!
//! A rung's groups begin with the picture that begins the source's, under the same number. A picture that comes before that one in
//! presentation order belongs to the group before, wherever it stands in decode order. A keyframe that a transcoder asks for stays
//! inside its group. Once a picture of a group is lost, so is the rest of the group: the track never has a hole inside one.
//!
//! A picture that is left out on purpose makes the one before it last longer. While pictures may be left out that nobody knows of
//! yet, the last packet is held back for that: the rung is a picture later for as long.
//!
//! **What the track is** changes only with an epoch of the source, where the calendar marks a discontinuity. A source that returns in
//! another shape gets rungs of that shape, with an init segment of their own; one that changes within its epoch is scaled to the size
//! that its rungs have, and distorted where that is another shape.

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use millrace_cmaf::CodecConfig;
use millrace_cmaf::write::{ChunkWriter, InitSettings, Packet};
use millrace_codec::{Scaler, SettingsError, VideoCodec, VideoConfig, VideoSettings};
use millrace_media::calendar::{Epoch, Group};
use millrace_media::clock::Clock;
use millrace_media::fragment::Marks;
use millrace_media::track::Format;
use millrace_media::{Time, Timescale};
use millrace_supervise::catch;
use tokio::sync::watch;

use super::attention::Attention;
use super::coder::{Coder, Exhausted};
use super::load::Member;
use super::pending::{Entry, Pending};
use super::relief::Sample;
use super::requested::{Change, RequestedSettings, is_alike};
use super::steering::Schedule;
use super::{EncodeError, Handle, VideoEncoder};
use crate::decode::{Decoded, ReaderId, Shared, SourceDecoder, Taken};
use crate::factory::SourceTrack;
use crate::ladder::{Economy, Relief};
use crate::output::{Output, OutputError};
use crate::stats::{Counters, LeftOut, Meter, Reliefs, State};
use crate::threads::Spawner;

/// An encoder this far behind the arrival of its source goes on with the next group. The source is never delayed; a viewer of a rung
/// on an overloaded machine sees it skip instead of falling behind for ever.
const MAX_LAG: Duration = Duration::from_secs(2);
/// A transcoder that has had a picture left out is expected to do so again within so many pictures.
const SKIPS_AGAIN: u32 = 64;
/// Every rung is a track of its own, with one `trak`.
const TRACK_ID: u32 = 1;

pub(super) struct Parts<'a> {
    pub(super) decoder: Arc<SourceDecoder>,
    pub(super) coder: Coder,
    pub(super) output: Output,
    pub(super) source: SourceTrack,
    pub(super) counters: Arc<Counters>,
    pub(super) clock: Arc<Clock>,
    pub(super) name: String,
    pub(super) economy: Arc<Economy>,
    pub(super) priority: u32,
    pub(super) threads: &'a Spawner,
}

/// Starts the thread. It ends when its reader is closed and it has encoded what was there.
pub(super) fn start(parts: Parts<'_>) -> Result<VideoEncoder, EncodeError> {
    let settings = parts.coder.settings().clone();
    let size = settings.validate().map_err(|error| EncodeError::Invalid(error.to_string()))?;
    let reader = parts.decoder.add_reader(size);
    let schedule = Arc::new(Mutex::new(Schedule::default()));
    let requested = RequestedSettings::new(settings);
    let failure = Arc::new(Mutex::new(None));
    let meter = parts.counters.meter();
    let member = Arc::new(parts.decoder.load().join(&parts.name, parts.economy.clone(), parts.priority));
    let (running_sender, running) = watch::channel(true);
    let rung = Rung {
        pictures: parts.decoder.shared().clone(),
        reader,
        coder: parts.coder,
        scaler: Scaler::new(size),
        requested: requested.clone(),
        output: parts.output.clone(),
        timescale: parts.source.info.timescale,
        writer: ChunkWriter::new(TRACK_ID),
        schedule: schedule.clone(),
        counters: parts.counters,
        meter: meter.clone(),
        member: member.clone(),
        clock: parts.clock.clone(),
        epoch: None,
        group: Err(LeftOut::Late),
        refused: None,
        last: None,
        pending: Pending::default(),
        packets: Vec::new(),
        described: false,
        kept: 0,
        skips: 0,
        keyframe_due: false,
        cost: None,
    };
    let said = failure.clone();
    let (ended, last) = (meter.clone(), member.clone());
    let spawned = parts.threads.spawn(format!("encode {}", parts.name), move || {
        let pictures = rung.pictures.clone();
        let done = catch(|| rung.run()).map_err(|panic| panic.to_string());
        if let Err(error) = done.and_then(|done| done.map_err(|failure| failure.to_string())) {
            tracing::error!(error, "a rung has failed");
            *said.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            ended.set_state(State::Failed);
        }
        ended.set_queue(0);
        last.rest();
        pictures.remove_reader(reader);
        running_sender.send_replace(false);
    });
    if let Err(error) = spawned {
        parts.decoder.shared().remove_reader(reader);
        return Err(EncodeError::Overloaded(format!("no thread for the encoder: {error}")));
    }
    Ok(VideoEncoder(Arc::new(Handle {
        name: parts.name,
        decoder: parts.decoder,
        reader,
        output: parts.output,
        track: parts.source.track,
        source: AtomicU32::new(parts.source.id),
        schedule,
        requested,
        idle_timeout: parts.economy.idle_timeout,
        attention: Mutex::new(Attention::new(parts.economy.idle_timeout)),
        member,
        meter,
        clock: parts.clock,
        failure,
        running,
    })))
}

struct Rung {
    pictures: Arc<Shared>,
    reader: ReaderId,
    coder: Coder,
    scaler: Scaler,
    requested: RequestedSettings,
    output: Output,
    timescale: Timescale,
    writer: ChunkWriter,
    schedule: Arc<Mutex<Schedule>>,
    counters: Arc<Counters>,
    meter: Arc<Meter>,
    member: Arc<Member>,
    clock: Arc<Clock>,
    /// Of the last group that began.
    epoch: Option<Epoch>,
    /// The group that pictures belong to now, or why they are left out until one begins.
    group: Result<Group, LeftOut>,
    /// The bus takes no more of this group.
    refused: Option<Group>,
    /// The time of the last picture encoded.
    last: Option<Time>,
    pending: Pending,
    packets: Vec<millrace_codec::Packet>,
    described: bool,
    /// How many pictures of the group were to be kept so far, of which halving keeps every second.
    kept: u32,
    /// For how many pictures more a transcoder may have another left out.
    skips: u32,
    /// A keyframe was asked for at a picture that relief left out.
    keyframe_due: bool,
    /// Of the last picture encoded.
    cost: Option<Duration>,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Encode(#[from] Exhausted),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Write(#[from] millrace_cmaf::write::WriteError),
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl Rung {
    fn run(mut self) -> Result<(), Failure> {
        loop {
            match self.pictures.take(self.reader) {
                Taken::Picture { decoded, waiting } => self.picture(&decoded, waiting)?,
                Taken::Lost(frames) => {
                    self.count(LeftOut::Overtaken, frames);
                    self.fall_behind(LeftOut::Overtaken);
                }
                Taken::Limited(frames) => self.count(LeftOut::Limited, frames),
                Taken::Resting => self.rest()?,
                Taken::Closed => return self.flush(),
            }
        }
    }

    fn picture(&mut self, decoded: &Decoded, waiting: usize) -> Result<(), Failure> {
        let now = self.clock.now().monotonic;
        let lag = now.saturating_sub(decoded.arrived);
        self.meter.set_queue(waiting + self.pending.inside());
        let fares = Sample { lag, cost: self.cost.take(), picture: decoded.duration.to_duration() };
        let reliefs = self.member.observe(now, fares);
        self.meter.set_state(state(reliefs));
        if decoded.starts_group {
            self.begin_group(decoded)?;
        }
        if reliefs.contains(Relief::DropRung) {
            self.group = Err(LeftOut::Relieved);
        } else if lag > MAX_LAG && !decoded.starts_group {
            self.fall_behind(LeftOut::Late);
        }
        let time = decoded.picture.time().rescale(self.timescale);
        let group = match self.group {
            Ok(group) if self.last.is_none_or(|last| last < time) => group,
            Ok(_) => return self.leave_out(LeftOut::Late),
            Err(why) => return self.leave_out(why),
        };
        let (orders, skips_next) = {
            let mut schedule = self.schedule.lock().unwrap_or_else(PoisonError::into_inner);
            let at = decoded.picture.time();
            (schedule.at(at), schedule.skips(at + decoded.duration))
        };
        if let Some(bitrate) = orders.bitrate {
            self.coder.set_bitrate(bitrate);
            self.requested.lock().set_bitrate(bitrate);
        }
        let duration = decoded.duration.rescale(self.timescale);
        self.skips = self.skips.saturating_sub(1);
        if let Some(why) = self.spared(decoded, orders.skip, reliefs) {
            self.keyframe_due |= orders.keyframe && why == LeftOut::Relieved;
            self.pending.left_out(group, duration);
            return self.leave_out(why);
        }
        let keyframe = decoded.starts_group || orders.keyframe || std::mem::take(&mut self.keyframe_due);
        let entry = Entry { time, group, duration, captured_at: decoded.captured_at, arrived: decoded.arrived };
        self.encode(decoded, entry, keyframe)?;
        let relieved = reliefs.contains(Relief::SkipNonReference) || reliefs.contains(Relief::HalveFrameRate);
        self.write(relieved || skips_next || self.skips > 0)
    }

    /// Why this picture is left out on purpose, where it is. The first of a group is what others join at: it never is.
    fn spared(&mut self, decoded: &Decoded, asked: bool, reliefs: Reliefs) -> Option<LeftOut> {
        if decoded.starts_group {
            self.kept = 1;
            return None;
        }
        if asked {
            self.skips = SKIPS_AGAIN;
            return Some(LeftOut::Asked);
        }
        if reliefs.contains(Relief::SkipNonReference) && decoded.discardable {
            return Some(LeftOut::Relieved);
        }
        self.kept = self.kept.wrapping_add(1);
        (reliefs.contains(Relief::HalveFrameRate) && self.kept.is_multiple_of(2)).then_some(LeftOut::Relieved)
    }

    fn encode(&mut self, decoded: &Decoded, entry: Entry, keyframe: bool) -> Result<(), Failure> {
        let began = Instant::now();
        let (picture, made) = match decoded.scaled(&mut self.scaler) {
            Ok(scaled) => scaled,
            Err(error) => {
                tracing::warn!(%error, "a picture could not be scaled");
                self.group = Err(LeftOut::Failed);
                return self.leave_out(LeftOut::Failed);
            }
        };
        let scaling = if made { began.elapsed() } else { Duration::ZERO };
        if made {
            self.counters.scaled(scaling);
        }
        let began = Instant::now();
        self.last = Some(entry.time);
        self.pending.encode(entry);
        if !self.coder.encode(&picture, entry.time, keyframe, &mut self.packets)? {
            return self.backend_failed();
        }
        let encoding = began.elapsed();
        self.counters.encoded(encoding);
        self.meter.encoded();
        self.cost = Some(scaling + encoding);
        Ok(())
    }

    /// What the backend held is gone with it.
    fn backend_failed(&mut self) -> Result<(), Failure> {
        let gone = self.pending.abandon();
        self.count(LeftOut::Failed, gone as u64);
        self.group = Err(LeftOut::Failed);
        self.settings_reverted();
        Ok(())
    }

    fn count(&self, why: LeftOut, frames: u64) {
        self.counters.left_out(why, frames);
        if why != LeftOut::Asked {
            self.meter.dropped(frames);
        }
    }

    fn leave_out(&mut self, why: LeftOut) -> Result<(), Failure> {
        self.count(why, 1);
        // Where nothing more comes of the group, nothing is waited for.
        if self.group.is_err() { self.write(false) } else { Ok(()) }
    }

    /// Pictures were lost, or are too late: the rest of the group is left out.
    fn fall_behind(&mut self, why: LeftOut) {
        if self.group.is_ok() {
            self.group = Err(why);
            self.member.lost(self.clock.now().monotonic);
        }
    }

    fn begin_group(&mut self, decoded: &Decoded) -> Result<(), Failure> {
        let new_epoch = self.epoch.is_some_and(|epoch| epoch < decoded.epoch);
        let change = self.requested.lock().take(self.coder.settings(), new_epoch || !self.described);
        match change {
            Some(Change::Track(settings)) => self.change(settings)?,
            Some(Change::Settings(settings)) => self.reconfigure(settings)?,
            None => {}
        }
        self.epoch = Some(decoded.epoch);
        self.group = if self.coder.begin_group()? { Ok(decoded.group) } else { Err(LeftOut::Failed) };
        self.settings_reverted();
        Ok(())
    }

    /// Where the backend has refused new settings, those of before are in force again.
    fn settings_reverted(&mut self) {
        if self.coder.take_reverted() {
            self.requested.lock().revert_to(self.coder.settings());
        }
    }

    /// Encodes with these settings from here on, under the same description.
    fn reconfigure(&mut self, settings: VideoSettings) -> Result<(), Failure> {
        let now = self.coder.settings();
        match settings.bitrate {
            Some(bitrate) if now.bitrate.is_some() && is_alike(&settings, now) => self.coder.set_bitrate(bitrate),
            _ => {
                self.flush()?;
                self.coder.reconfigure(settings);
            }
        }
        Ok(())
    }

    /// From here on the rung is encoded as `settings` ask, and described anew.
    fn change(&mut self, settings: VideoSettings) -> Result<(), Failure> {
        self.flush()?;
        let size = settings.validate()?;
        tracing::info!(track = ?self.output, %size, "the source has returned in another form: so does the rung");
        self.scaler = Scaler::new(size);
        self.pictures.set_size(self.reader, size);
        self.coder.replace(settings);
        self.described = false;
        Ok(())
    }

    /// Nobody plays the rung, or it is given up: what the backend holds comes out.
    fn rest(&mut self) -> Result<(), Failure> {
        self.flush()?;
        self.group = Err(LeftOut::Relieved);
        self.member.rest();
        let reliefs = self.member.in_force(self.clock.now().monotonic);
        self.meter.set_state(asleep(reliefs));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if !self.coder.flush(&mut self.packets)? {
            self.backend_failed()?;
        }
        self.write(false)?;
        let gone = self.pending.abandon();
        self.count(LeftOut::Failed, gone as u64);
        self.meter.set_queue(0);
        Ok(())
    }

    /// Writes what is ready. With `hold` the last picture's packet waits for what follows it.
    fn write(&mut self, hold: bool) -> Result<(), Failure> {
        if !self.described
            && let Some(config) = self.coder.config()
        {
            let info = init_settings(config, self.coder.settings(), self.timescale).info()?;
            self.output.describe(info)?;
            self.described = true;
        }
        for packet in std::mem::take(&mut self.packets) {
            let time = packet.time;
            if !self.pending.packet(packet) {
                tracing::debug!(%time, "a packet of no picture");
            }
        }
        while let Some((entry, packet)) = self.pending.next(hold) {
            self.write_one(entry, packet)?;
        }
        Ok(())
    }

    fn write_one(&mut self, entry: Entry, packet: millrace_codec::Packet) -> Result<(), Failure> {
        if self.refused == Some(entry.group) {
            self.count(LeftOut::Late, 1);
            return Ok(());
        }
        let marks = Marks { keyframe: packet.keyframe, independent: packet.keyframe, discardable: false };
        let duration = u32::try_from(entry.duration.ticks()).unwrap_or(0);
        let coded = Packet { data: packet.data, duration, composition_offset: 0, marks };
        let media = self.writer.chunk(packet.time, [coded], entry.captured_at)?;
        let bytes = media.size();
        if let Err(error) = self.output.write(entry.group, media) {
            // The broadcast has moved on without this rung, or ended: nothing to be done with this group.
            tracing::debug!(%error, "an encoded picture was not taken");
            self.refused = Some(entry.group);
            if self.group == Ok(entry.group) {
                self.group = Err(LeftOut::Late);
            }
            return Ok(());
        }
        self.meter.written(bytes);
        let now = self.clock.now();
        let lag = now.monotonic.saturating_sub(entry.arrived);
        self.meter.set_lag(lag);
        self.counters.written(lag, entry.captured_at.map(|captured| now.unix.saturating_sub(captured)));
        Ok(())
    }
}

fn state(reliefs: Reliefs) -> State {
    if reliefs.contains(Relief::DropRung) {
        State::GivenUp(reliefs)
    } else if reliefs.is_empty() {
        State::Running
    } else {
        State::Relieved(reliefs)
    }
}

/// The state of a rung that encodes nothing.
pub(super) fn asleep(reliefs: Reliefs) -> State {
    if reliefs.contains(Relief::DropRung) { State::GivenUp(reliefs) } else { State::Idle }
}

fn init_settings(config: &VideoConfig, settings: &VideoSettings, timescale: Timescale) -> InitSettings {
    InitSettings {
        track_id: TRACK_ID,
        timescale,
        format: Format::Video {
            width: config.size.width(),
            height: config.size.height(),
            frame_rate: Some(settings.frame_rate),
        },
        config: match config.codec {
            VideoCodec::H264 => CodecConfig::Avc(config.record.clone()),
            VideoCodec::Av1 => CodecConfig::Av1(config.record.clone()),
        },
        language: None,
        bitrate: settings.bitrate,
    }
}
