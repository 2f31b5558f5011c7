//! What a ladder costs beside its parts: decoding once, scaling to each size, encoding each rung, one after another on the same
//! pictures; and that decoding costs no more for three rungs than for one.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use millrace_codec::{
    DecodeLimits, Picture, Scaler, Unlimited, VideoCodec, VideoSettings, open_video_decoder, open_video_encoder,
};
use millrace_media::{Media, Time};
use millrace_transcode::{Rendition, Sound};

use crate::cpu;
use crate::film::{FRAME_RATE, Film};
use crate::report::{Figure, Goal, Row};
use crate::rungs::Source;
use crate::spread::median;

/// So many pictures, from the film's first: eight seconds.
const PICTURES: usize = 8 * FRAME_RATE as usize;
/// So many pictures are decoded before they are scaled, and scaled before they are encoded: enough for each to be alone in the caches,
/// few enough to be held.
const BATCH: usize = 30;
const ROUNDS: usize = 3;

/// What the three rungs are: the preset ladder's lower two, and one between.
const RUNGS: [(&str, u32, u32, u32); 3] =
    [("480p", 854, 480, 1_200_000), ("360p", 640, 360, 800_000), ("240p", 426, 240, 400_000)];

pub(crate) fn measure(film: &Film) -> anyhow::Result<Vec<Row>> {
    let work = Work { source: Source::read(&film.picture, PICTURES)?, renditions: RUNGS.map(rendition) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (mut three, mut one, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        eprintln!("  round {round} of {ROUNDS}");
        three.push(work.source.make(&runtime, &work.renditions)?);
        one.push(work.source.make(&runtime, &work.renditions[..1])?);
        parts.push(work.alone()?);
    }
    let middle = |times: Vec<Duration>| {
        let each: Vec<_> = times.into_iter().map(|time| time.as_secs_f64() * 1e3 / PICTURES as f64).collect();
        Figure::new(median(&each), "ms")
    };
    let each = |of: fn(&Alone) -> Duration| middle(parts.iter().map(of).collect());
    Ok(vec![
        Row::new("three rungs of 720p, CPU time a picture", middle(three.iter().map(|made| made.cpu).collect()))
            .beside("decoded once, scaled and encoded thrice, each alone", each(Alone::sum))
            .goal(Goal::RatioAtMost(1.15)),
        Row::new("of it: the decoder's thread", middle(three.iter().map(|made| made.decoding).collect()))
            .beside("with one rung", middle(one.iter().map(|made| made.decoding).collect()))
            .goal(Goal::RatioAtMost(1.05)),
        Row::new("alone: decoding", each(|alone| alone.decode)),
        Row::new("alone: scaling", each(|alone| alone.scale)),
        Row::new("alone: encoding", each(|alone| alone.encode)),
    ])
}

fn rendition((name, width, height, bitrate): (&str, u32, u32, u32)) -> Arc<Rendition> {
    let video = VideoSettings { bitrate: Some(bitrate), ..VideoSettings::new(VideoCodec::H264, width, height) };
    Arc::new(Rendition { name: name.into(), video, audio: Sound::Source, priority: 0 })
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

/// The ladder that is made, and what it is made of.
struct Work {
    source: Source,
    renditions: [Arc<Rendition>; 3],
}

impl Work {
    /// The CPU time of each part of that work, on this thread.
    fn alone(&self) -> anyhow::Result<Alone> {
        let mut alone = Alone::default();
        let header = &self.source.header;
        let mut decoder = open_video_decoder(&header.info.codec, header.config.record(), DecodeLimits::default())?;
        let mut rungs = Vec::new();
        for rendition in &self.renditions {
            let settings =
                rendition.fit(&self.source.header.info.format).context("the film is larger than its rungs")?;
            let settings = VideoSettings { colour: settings.colour.or(decoder.colour()), ..settings };
            rungs.push((Scaler::new(settings.validate()?), open_video_encoder(&settings)?));
        }
        let timed = |media: &Media| media.timed_samples().next().map(|timed| timed.presentation_time);
        let keyframes: HashSet<_> =
            self.source.media.iter().filter(|media| media.marks.keyframe).filter_map(timed).map(Time::ticks).collect();
        let mut samples = self.source.media.chunks(BATCH);
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
                        decoder.decode(&bytes, timed.presentation_time, &mut Unlimited, &mut pictures)?;
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
