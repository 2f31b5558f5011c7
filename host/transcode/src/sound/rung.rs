//! An encoder's own thread: it takes fragments of the source's sound, decodes, resamples and encodes them, and writes what comes out to
//! the encoder's output track.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use millrace_cmaf::CodecConfig;
use millrace_cmaf::write::{ChunkWriter, InitSettings, Packet};
use millrace_codec::audio::{
    AudioDecodeError, AudioDecoder, AudioError, AudioPacket, AudioSettings, ResampleError, Resampler, mix,
    open_audio_encoder,
};
use millrace_media::calendar::Epoch;
use millrace_media::fragment::Marks;
use millrace_media::track::{Format, Info, Track};
use millrace_media::{Fragment, Time, Timescale};
use millrace_supervise::catch;
use tokio::sync::{mpsc, watch};

use super::chunks::{Chunk, Chunks};
use super::effort::Effort;
use super::timeline::{Step, Timeline};
use super::{AudioEncoder, Handle, QUEUE, open_decoder};
use crate::decode::Dropped;
use crate::encoder::EncodeError;
use crate::output::{Output, OutputError};
use crate::stats::{Counters, LeftOut};
use crate::threads::Spawner;

/// Every rung is a track of its own, with one `trak`.
const TRACK_ID: u32 = 1;
/// What encoders take, in samples a second; also the timescale of what they make.
const SAMPLE_RATE: Timescale = Timescale::new(48_000).unwrap();

pub(super) struct Parts<'a> {
    pub(super) name: String,
    pub(super) track: Track,
    pub(super) settings: AudioSettings,
    pub(super) output: Output,
    pub(super) counters: Arc<Counters>,
    pub(super) effort: Effort,
    pub(super) threads: &'a Spawner,
}

/// Starts the thread. It ends when its queue is closed and it has encoded what was there.
pub(super) fn start(parts: Parts<'_>) -> Result<AudioEncoder, EncodeError> {
    let Parts { name, track, settings, output, counters, effort, threads } = parts;
    let (queue, fragments) = mpsc::channel(QUEUE);
    let (running_sender, running) = watch::channel(true);
    let failure = Arc::new(Mutex::new(None));
    let requested = Arc::new(Mutex::new(settings));
    let rung = Rung {
        settings,
        requested: requested.clone(),
        output,
        counters,
        effort,
        writer: ChunkWriter::new(TRACK_ID),
        run: None,
        channels: None,
        written: None,
    };
    let said = failure.clone();
    threads
        .spawn(format!("encode {name}"), move || {
            match catch(|| rung.run(fragments, &said)) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "an encoder of sound has failed"),
                Err(panic) => *said.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic.to_string()),
            }
            running_sender.send_replace(false);
        })
        .map_err(|error| EncodeError::Overloaded(format!("no thread for the encoder: {error}")))?;
    let queue = Mutex::new(Some(queue));
    Ok(AudioEncoder(Arc::new(Handle { name, track, requested, queue, failure, running })))
}

struct Rung {
    settings: AudioSettings,
    /// The settings that the transcoder requested.
    requested: Arc<Mutex<AudioSettings>>,
    output: Output,
    counters: Arc<Counters>,
    effort: Effort,
    writer: ChunkWriter,
    run: Option<Run>,
    /// Of the output, in an epoch: the header does not change within one.
    channels: Option<(Epoch, u8)>,
    /// Where the last chunk ended.
    written: Option<(Epoch, Time)>,
}

/// What the source's track is, and its decoder; none where nothing decodes it.
struct Source {
    info: Arc<Info>,
    decoder: Option<Box<dyn AudioDecoder>>,
}

/// One unbroken run of sound, from the decoder to chunks.
struct Run {
    epoch: Epoch,
    channels: u8,
    timeline: Timeline,
    resampler: Resampler,
    encoder: Box<dyn millrace_codec::audio::AudioEncoder>,
    chunks: Chunks,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Decode(#[from] AudioDecodeError),
    #[error(transparent)]
    Resample(#[from] ResampleError),
    #[error(transparent)]
    Encode(#[from] AudioError),
    #[error(transparent)]
    Write(#[from] millrace_cmaf::write::WriteError),
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl Source {
    fn open(info: &Arc<Info>) -> Self {
        let decoder =
            open_decoder(info).inspect_err(|error| tracing::warn!(%error, "sound that cannot be decoded is left out"));
        Self { info: info.clone(), decoder: decoder.ok() }
    }
}

impl Rung {
    /// Works until the queue is closed and empty.
    fn run(mut self, mut fragments: mpsc::Receiver<Fragment>, failure: &Mutex<Option<String>>) -> Result<(), Failure> {
        let mut source = None;
        let mut work = || {
            while let Some(fragment) = fragments.blocking_recv() {
                let began = Instant::now();
                self.fragment(&mut source, &fragment)?;
                metrics::histogram!("millrace_sound_encode_seconds").record(began.elapsed().as_secs_f64());
            }
            self.end_run()
        };
        let done = work();
        if let Err(error) = &done {
            // Said before the queue is closed, so that whoever finds it closed finds the reason.
            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        }
        done
    }

    fn fragment(&mut self, source: &mut Option<Source>, fragment: &Fragment) -> Result<(), Failure> {
        let epoch = fragment.place().epoch;
        let same = source.take().filter(|source| source.info.init == fragment.info().init);
        if same.is_none() || self.run.as_ref().is_some_and(|run| run.epoch != epoch) {
            self.end_run()?;
        }
        let source = source.insert(same.unwrap_or_else(|| Source::open(fragment.info())));
        let Some(decoder) = &mut source.decoder else {
            self.counters.dropped(fragment.samples.len() as u64);
            return Ok(());
        };
        if fragment.starts_group() {
            self.settings = *self.requested.lock().unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(run) = &mut self.run {
            run.encoder.set_bitrate(self.settings.bitrate)?;
            run.chunks.begin(fragment.into());
        }
        let mut samples = Vec::new();
        for timed in fragment.timed_samples() {
            let bytes = fragment.payload.contiguous(timed.sample.offset, timed.sample.size).unwrap_or_default();
            self.packet(&mut **decoder, &bytes, timed.presentation_time, fragment, &mut samples)?;
        }
        if let Some(mut run) = self.run.take() {
            self.write(run.epoch, &mut run.chunks, false)?;
            self.run = Some(run);
        }
        Ok(())
    }

    /// Decodes a packet, and encodes its samples where they belong. `samples` is room to work in.
    fn packet(
        &mut self,
        decoder: &mut dyn AudioDecoder,
        packet: &[u8],
        time: Time,
        fragment: &Fragment,
        samples: &mut Vec<f32>,
    ) -> Result<(), Failure> {
        if let Some(dropped) = self.effort.refuses() {
            self.counters.left_out(LeftOut::Limited, u64::from(dropped == Dropped::Limited));
            return Ok(());
        }
        let began = Instant::now();
        let step = self.run.as_ref().map_or(Step::Restart, |run| run.timeline.step(time));
        let decoded = self.decode(decoder, packet, time, fragment, step, samples);
        let silence = if let Step::Append { silence, .. } = step { silence } else { 0 };
        let length = samples.len() / usize::from(decoder.channels().max(1));
        self.effort.spend(length + silence, step == Step::Restart, began);
        decoded
    }

    fn decode(
        &mut self,
        decoder: &mut dyn AudioDecoder,
        packet: &[u8],
        time: Time,
        fragment: &Fragment,
        step: Step,
        samples: &mut Vec<f32>,
    ) -> Result<(), Failure> {
        if !matches!(step, Step::Append { silence: 0, .. }) {
            // What is decoded leans on the packets before, which are not those that came before.
            decoder.reset();
        }
        samples.clear();
        if let Err(error) = decoder.decode(packet, time, samples) {
            let AudioDecodeError::Damaged { .. } = error else { return Err(error.into()) };
            metrics::counter!("millrace_decode_damaged_total").increment(1);
            self.counters.dropped(1);
            tracing::debug!(%error, "a packet of sound is left out");
            return Ok(());
        }
        let (silence, skip) = match step {
            Step::Append { silence, skip } => (silence, skip),
            Step::Restart => {
                self.end_run()?;
                self.run = Some(self.begin_run(decoder, time, fragment)?);
                (0, 0)
            }
        };
        let Some(run) = &mut self.run else { return Ok(()) };
        let channels = decoder.channels();
        run.append(&vec![0.0; silence * usize::from(channels)], channels)?;
        run.append(samples.get(skip * usize::from(channels)..).unwrap_or_default(), channels)
    }

    fn begin_run(&mut self, decoder: &dyn AudioDecoder, time: Time, fragment: &Fragment) -> Result<Run, Failure> {
        let epoch = fragment.place().epoch;
        let described = self.channels.filter(|(known, _)| *known == epoch);
        let channels = described.map_or(decoder.channels(), |(_, channels)| channels);
        let encoder = open_audio_encoder(&self.settings, channels, time)?;
        let config = encoder.config();
        if described.is_none() {
            let init = InitSettings {
                track_id: TRACK_ID,
                timescale: SAMPLE_RATE,
                format: Format::Audio { sample_rate: config.sample_rate, channels: config.channels.into() },
                config: CodecConfig::Opus(config.record()),
                language: fragment.info().language.clone(),
                bitrate: Some(self.settings.bitrate),
            };
            self.output.describe(init.info()?)?;
            self.channels = Some((epoch, channels));
        }
        let rate = Timescale::new(decoder.sample_rate()).unwrap_or(SAMPLE_RATE);
        let mut chunks = Chunks::default();
        chunks.begin(fragment.into());
        let resampler = Resampler::new(rate.get(), config.sample_rate, channels)?;
        Ok(Run { epoch, channels, timeline: Timeline::new(time, rate), resampler, encoder, chunks })
    }

    /// Encodes and writes what is left of the run.
    fn end_run(&mut self) -> Result<(), Failure> {
        let Some(run) = self.run.take() else { return Ok(()) };
        let epoch = run.epoch;
        let mut chunks = run.finish()?;
        self.write(epoch, &mut chunks, true)
    }

    fn write(&mut self, epoch: Epoch, chunks: &mut Chunks, at_the_end: bool) -> Result<(), Failure> {
        while let Some(Chunk { group, captured_at, packets }) = chunks.next(at_the_end) {
            // A run ends with silence that fills its last packet, and the next may begin there; nothing begins below zero.
            let floor =
                self.written.filter(|(known, _)| *known == epoch).map_or(Time::zero(SAMPLE_RATE), |last| last.1);
            let left_out = packets.iter().take_while(|packet| packet.time < floor).count();
            self.counters.dropped(left_out as u64);
            let packets = &packets[left_out..];
            let (Some(first), Some(last)) = (packets.first(), packets.last()) else { continue };
            let media = self.writer.chunk(first.time, packets.iter().map(coded), captured_at)?;
            self.written = Some((epoch, last.time + Time::new(last.duration.into(), SAMPLE_RATE)));
            if let Err(error) = self.output.write(group, media) {
                // The broadcast has moved on without this rung, or ended: nothing to be done with this chunk.
                tracing::debug!(%error, "encoded sound was not taken");
            }
        }
        Ok(())
    }
}

impl Run {
    /// Whole interleaved samples of so many channels follow.
    fn append(&mut self, samples: &[f32], channels: u8) -> Result<(), Failure> {
        self.timeline.add(samples.len() / usize::from(channels));
        let mut resampled = Vec::new();
        self.resampler.push(&mix(samples, channels, self.channels), &mut resampled)?;
        let mut packets = Vec::new();
        self.encoder.encode(&resampled, &mut packets)?;
        self.chunks.packets.extend(packets);
        Ok(())
    }

    /// What is left in the run.
    fn finish(mut self) -> Result<Chunks, Failure> {
        let (mut resampled, mut packets) = (Vec::new(), Vec::new());
        self.resampler.finish(&mut resampled)?;
        self.encoder.encode(&resampled, &mut packets)?;
        self.encoder.finish(&mut packets)?;
        self.chunks.packets.extend(packets);
        Ok(self.chunks)
    }
}

fn coded(packet: &AudioPacket) -> Packet {
    let marks = Marks { keyframe: true, independent: true, discardable: false };
    Packet { data: packet.data.clone(), duration: packet.duration, composition_offset: 0, marks }
}
