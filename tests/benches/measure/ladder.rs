//! What a ladder costs beside its parts: decoding once, scaling to each size, encoding each rung, one after another on the same
//! pictures.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use millrace_cmaf::{Item, Limits, Reader, TrackHeader};
use millrace_codec::{Picture, ScaleFilter, Scaler, VideoCodec, VideoSettings, open_video_decoder, open_video_encoder};
use millrace_media::bus::{Bus, Settings};
use millrace_media::clock::Clock;
use millrace_media::track::Start;
use millrace_media::{BroadcastName, Media, Time, TrackName};
use millrace_transcode::native::NativeLadder;
use millrace_transcode::{Ladder, Rendition, Runner, Sound};
use tokio::runtime::Runtime;

use crate::cpu;
use crate::film::{FRAME_RATE, Film};
use crate::report::{Figure, Goal, Row};
use crate::spread::median;

/// So many pictures, from the film's first: eight seconds.
const PICTURES: usize = 8 * FRAME_RATE as usize;
/// So many pictures are decoded before they are scaled, and scaled before they are encoded: enough for each to be alone in the caches,
/// few enough to be held.
const BATCH: usize = 30;
const ROUNDS: usize = 3;
/// The pictures that a rung may be behind its source: more than the decoder holds back for reordering, fewer than it makes before it
/// passes over an encoder that cannot follow.
const IN_FLIGHT: usize = 24;
/// Longer than the ladder can take.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn measure(film: &Film) -> anyhow::Result<Vec<Row>> {
    let source = Source::read(film)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        eprintln!("  round {round} of {ROUNDS}");
        whole.push(source.ladder(&runtime)?);
        parts.push(source.alone()?);
    }
    let each = |of: fn(&Alone) -> Duration| {
        Figure::new(median(&parts.iter().map(|a| per_picture(of(a))).collect::<Vec<_>>()), "ms")
    };
    let whole = Figure::new(median(&whole.iter().map(|time| per_picture(*time)).collect::<Vec<_>>()), "ms");
    Ok(vec![
        Row::new("480p and 240p of 720p, CPU time a picture", whole)
            .beside("decoded once, scaled and encoded twice, each alone", each(Alone::sum))
            .goal(Goal::RatioAtMost(1.15)),
        Row::new("of it: decoding", each(|alone| alone.decode)),
        Row::new("of it: scaling", each(|alone| alone.scale)),
        Row::new("of it: encoding", each(|alone| alone.encode)),
    ])
}

fn per_picture(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3 / PICTURES as f64
}

/// The CPU time of the ladder's parts.
#[derive(Clone, Copy, Debug, Default)]
struct Alone {
    decode: Duration,
    scale: Duration,
    encode: Duration,
}

impl Alone {
    fn sum(&self) -> Duration {
        self.decode + self.scale + self.encode
    }
}

/// The film's pictures, as they stand on the bus.
struct Source {
    header: TrackHeader,
    media: Vec<Media>,
    renditions: [Arc<Rendition>; 2],
}

impl Source {
    fn read(film: &Film) -> anyhow::Result<Self> {
        let mut reader = Reader::new(Limits::default());
        reader.push(film.picture.header.clone());
        film.picture.chunks.iter().take(PICTURES).for_each(|chunk| reader.push(chunk.clone()));
        let (mut header, mut media) = (None, Vec::new());
        while let Some(item) = reader.next()? {
            match item {
                Item::Header(found) => header = found.known().next().cloned(),
                // Far enough from zero for what is decoded before it.
                Item::Chunk(chunk) => media.push(chunk.place(Time::from_millis(10_000))?),
                _ => {}
            }
        }
        ensure!(media.len() == PICTURES, "the film has {} chunks, not {PICTURES}", media.len());
        let rendition = |name: &str, width, height, bitrate| {
            let video = VideoSettings { bitrate: Some(bitrate), ..VideoSettings::new(VideoCodec::H264, width, height) };
            Arc::new(Rendition { name: name.into(), video, audio: Sound::Source, priority: 0 })
        };
        let renditions = [rendition("480p", 854, 480, 1_200_000), rendition("240p", 426, 240, 400_000)];
        Ok(Self { header: header.context("the film has no header")?, media, renditions })
    }

    /// The CPU time of the whole process while the runner makes both rungs.
    fn ladder(&self, runtime: &Runtime) -> anyhow::Result<Duration> {
        let rungs = async {
            // A clock that stands still: nothing is late, so nothing is left out, however slow the machine.
            let bus = Bus::new(Settings::default(), Arc::new(Clock::manual(Duration::from_secs(1_800_000_000))));
            let ladder = Ladder {
                name: "test".into(),
                applies_to: Arc::new(|_| true),
                renditions: self.renditions.to_vec(),
                economy: Arc::default(),
            };
            let runner = Runner::start(&bus, vec![Arc::new(NativeLadder)], vec![ladder]);
            let publisher = bus.publish(&BroadcastName::new("bench/ladder")?)?;
            let broadcast = publisher.broadcast().clone();
            let mut producer = publisher.create_track(TrackName::new("video")?, self.header.info.clone())?;
            let mut write = |media: &Media| producer.write(media.clone()).map(drop);
            let (first, rest) = self.media.split_first().context("the film has pictures")?;
            write(first)?;
            // A rung begins with its source's first group; one that finds the source ended has nothing to do.
            let mut changes = broadcast.changes();
            while !self.renditions.iter().all(|rendition| broadcast.track(&rendition.name).is_some()) {
                tokio::time::timeout(PATIENCE, changes.changed()).await.context("no rung begins")??;
            }
            let rungs = self.renditions.iter().filter_map(|rendition| broadcast.track(&rendition.name));
            let mut rungs: Vec<_> = rungs.map(|rung| rung.subscribe(Start::OldestGroup)).collect();
            for (written, media) in rest.iter().enumerate() {
                write(media)?;
                if written >= IN_FLIGHT {
                    for rung in &mut rungs {
                        tokio::time::timeout(PATIENCE, rung.next()).await.context("a rung stands still")?;
                    }
                }
            }
            publisher.finish();
            drop(producer);
            tokio::time::timeout(PATIENCE, runner.shutdown()).await.context("the ladder does not end")?;
            for rendition in &self.renditions {
                let rung = broadcast.track(&rendition.name).with_context(|| format!("no {}", rendition.name))?;
                let made = rung.stats().fragments;
                ensure!(made == PICTURES as u64, "{} has {made} pictures of {PICTURES}", rendition.name);
            }
            Ok(())
        };
        Ok(cpu::taken(|| runtime.block_on(rungs))?.1)
    }

    /// The CPU time of each part of that work, on this thread.
    fn alone(&self) -> anyhow::Result<Alone> {
        let mut alone = Alone::default();
        let mut decoder = open_video_decoder(&self.header.info.codec, self.header.config.record())?;
        let mut rungs = Vec::new();
        for rendition in &self.renditions {
            let settings = rendition.fit(&self.header.info.format).context("the film is larger than its rungs")?;
            let settings = VideoSettings { colour: settings.colour.or(decoder.colour()), ..settings };
            rungs.push((Scaler::new(settings.validate()?, ScaleFilter::default()), open_video_encoder(&settings)?));
        }
        let timed = |media: &Media| media.timed_samples().next().map(|timed| timed.presentation_time);
        let keyframes: HashSet<_> =
            self.media.iter().filter(|media| media.marks.keyframe).filter_map(timed).map(Time::ticks).collect();
        let mut samples = self.media.chunks(BATCH);
        let mut encoded = 0;
        loop {
            let batch = samples.next();
            let (pictures, took) = cpu::taken(|| {
                let mut pictures = Vec::with_capacity(2 * BATCH);
                for media in batch.into_iter().flatten() {
                    for timed in media.timed_samples() {
                        let bytes: Bytes = media
                            .payload
                            .contiguous(timed.sample.offset, timed.sample.size)
                            .context("a sample lies within its payload")?;
                        decoder.decode(&bytes, timed.presentation_time, &mut pictures)?;
                    }
                }
                if batch.is_none() {
                    decoder.flush(&mut pictures)?;
                }
                Ok(pictures)
            })?;
            alone.decode += took;
            for (scaler, encoder) in &mut rungs {
                let (scaled, took) = cpu::taken(|| {
                    let scale = |picture| Ok(scaler.scale(picture)?);
                    pictures.iter().map(scale).collect::<anyhow::Result<Vec<Picture>>>()
                })?;
                alone.scale += took;
                let (packets, took) = cpu::taken(|| {
                    let mut packets = Vec::with_capacity(BATCH);
                    for picture in &scaled {
                        let keyframe = keyframes.contains(&picture.time().ticks());
                        encoder.encode(picture, picture.time(), keyframe, &mut packets)?;
                    }
                    Ok(packets)
                })?;
                alone.encode += took;
                encoded += packets.len();
            }
            if batch.is_none() {
                break;
            }
        }
        ensure!(encoded == PICTURES * rungs.len(), "{encoded} pictures were encoded, not {PICTURES} for each rung");
        Ok(alone)
    }
}
