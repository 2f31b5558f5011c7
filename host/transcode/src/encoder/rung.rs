//! An encoder's own thread: it takes pictures from the source's ring, scales and encodes them, and writes what comes out to the
//! encoder's output track.
//!
//! A rung's groups begin with the picture that begins the source's, under the same number. A picture that comes before that one in
//! presentation order belongs to the group before, wherever it stands in decode order.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use millrace_cmaf::CodecConfig;
use millrace_cmaf::write::{ChunkWriter, InitSettings, Packet};
use millrace_codec::{ScaleFilter, Scaler, VideoCodec, VideoConfig, VideoSettings};
use millrace_media::Timescale;
use millrace_media::calendar::Group;
use millrace_media::clock::Clock;
use millrace_media::fragment::Marks;
use millrace_media::track::Format;
use tokio::sync::watch;

use super::steering::Schedule;
use super::{EncodeError, Handle, VideoEncoder};
use crate::decode::{Decoded, ReaderId, Shared, SourceDecoder, Taken};
use crate::output::Output;
use crate::stats::Counters;

/// An encoder this far behind the arrival of its source goes on with the next group. The source is never delayed; a viewer of a rung
/// on an overloaded machine sees it skip instead of falling behind for ever.
const MAX_LAG: Duration = Duration::from_secs(2);
/// Every rung is a track of its own, with one `trak`.
const TRACK_ID: u32 = 1;

pub(super) struct Parts {
    pub(super) decoder: Arc<SourceDecoder>,
    pub(super) backend: Box<dyn millrace_codec::VideoEncoder>,
    pub(super) settings: VideoSettings,
    pub(super) output: Output,
    pub(super) timescale: Timescale,
    pub(super) counters: Arc<Counters>,
    pub(super) clock: Arc<Clock>,
    pub(super) name: String,
}

/// Starts the thread. It ends when its reader is closed and it has encoded what was there.
pub(super) fn start(parts: Parts) -> Result<VideoEncoder, EncodeError> {
    let size = parts.settings.validate().map_err(|error| EncodeError::Invalid(error.to_string()))?;
    let reader = parts.decoder.add_reader();
    let schedule = Arc::new(Mutex::new(Schedule::default()));
    let failure = Arc::new(Mutex::new(None));
    let (running_sender, running) = watch::channel(true);
    let rung = Rung {
        pictures: parts.decoder.shared().clone(),
        reader,
        backend: parts.backend,
        scaler: Scaler::new(size, ScaleFilter::default()),
        settings: parts.settings,
        output: parts.output,
        timescale: parts.timescale,
        writer: ChunkWriter::new(TRACK_ID),
        schedule: schedule.clone(),
        counters: parts.counters,
        clock: parts.clock,
        group: None,
        packets: Vec::new(),
        described: false,
    };
    let said = failure.clone();
    let spawned = std::thread::Builder::new().name(format!("encode {}", parts.name)).spawn(move || {
        let pictures = rung.pictures.clone();
        if let Err(error) = rung.run() {
            tracing::error!(%error, "an encoder has failed");
            *said.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        }
        pictures.remove_reader(reader);
        running_sender.send_replace(false);
    });
    if let Err(error) = spawned {
        parts.decoder.shared().remove_reader(reader);
        return Err(EncodeError::Overloaded(format!("no thread for the encoder: {error}")));
    }
    let decoder = parts.decoder;
    Ok(VideoEncoder(Arc::new(Handle { name: parts.name, decoder, reader, schedule, failure, running })))
}

struct Rung {
    pictures: Arc<Shared>,
    reader: ReaderId,
    backend: Box<dyn millrace_codec::VideoEncoder>,
    scaler: Scaler,
    settings: VideoSettings,
    output: Output,
    timescale: Timescale,
    writer: ChunkWriter,
    schedule: Arc<Mutex<Schedule>>,
    counters: Arc<Counters>,
    clock: Arc<Clock>,
    /// The group that pictures belong to now; none until one begins.
    group: Option<Group>,
    packets: Vec<millrace_codec::Packet>,
    described: bool,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Scale(#[from] millrace_codec::ScaleError),
    #[error(transparent)]
    Encode(#[from] millrace_codec::EncodeError),
    #[error(transparent)]
    Write(#[from] millrace_cmaf::write::WriteError),
    #[error(transparent)]
    Output(#[from] crate::output::OutputError),
}

impl Rung {
    fn run(mut self) -> Result<(), Failure> {
        loop {
            match self.pictures.take(self.reader) {
                Taken::Picture(decoded) => self.picture(&decoded)?,
                Taken::Lost(pictures) => {
                    self.counters.dropped(pictures);
                    self.group = None;
                }
                Taken::Closed => return Ok(()),
            }
        }
    }

    fn picture(&mut self, decoded: &Decoded) -> Result<(), Failure> {
        let lag = self.clock.now().monotonic.saturating_sub(decoded.arrived);
        metrics::histogram!("millrace_encode_lag_seconds").record(lag.as_secs_f64());
        if decoded.starts_group {
            self.group = Some(decoded.group);
        }
        if lag > MAX_LAG && !decoded.starts_group {
            self.group = None;
        }
        let Some(group) = self.group else {
            self.counters.dropped(1);
            return Ok(());
        };
        let time = decoded.picture.time().rescale(self.timescale);
        let orders = self.schedule.lock().unwrap_or_else(PoisonError::into_inner).at(decoded.picture.time());
        if let Some(bitrate) = orders.bitrate {
            self.backend.set_bitrate(bitrate)?;
        }
        // The first picture of a group is what others join at: it is never left out.
        if orders.skip && !decoded.starts_group {
            return Ok(());
        }
        let began = Instant::now();
        let scaled = self.scaler.scale(&decoded.picture)?;
        let scaled_at = Instant::now();
        let keyframe = decoded.starts_group || orders.keyframe;
        self.backend.encode(&scaled, time, keyframe, &mut self.packets)?;
        metrics::histogram!("millrace_scale_seconds").record((scaled_at - began).as_secs_f64());
        metrics::histogram!("millrace_encode_seconds").record(scaled_at.elapsed().as_secs_f64());
        self.write(group, decoded)
    }

    fn write(&mut self, group: Group, decoded: &Decoded) -> Result<(), Failure> {
        if !self.described
            && let Some(config) = self.backend.config()
        {
            let info = init_settings(config, &self.settings, self.timescale).info()?;
            self.output.describe(info);
            self.described = true;
        }
        for packet in std::mem::take(&mut self.packets) {
            let duration = decoded.duration.rescale(self.timescale).ticks();
            let marks = Marks { keyframe: packet.keyframe, independent: packet.keyframe, discardable: false };
            let coded = Packet {
                data: packet.data,
                duration: u32::try_from(duration).unwrap_or(0),
                composition_offset: 0,
                marks,
            };
            let media = self.writer.chunk(packet.time, [coded], decoded.captured_at)?;
            if let Err(error) = self.output.write(group, media) {
                // The broadcast has moved on without this rung, or ended: nothing to be done with this picture.
                tracing::debug!(%error, "an encoded picture was not taken");
                self.group = None;
            }
        }
        Ok(())
    }
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
