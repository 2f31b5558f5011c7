//! A source on a bus of its own, and the ladder that the runner makes of it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use millrace_cmaf::{Item, Limits, Reader, TrackHeader};
use millrace_media::bus::{Bus, Settings};
use millrace_media::clock::Clock;
use millrace_media::track::{Start, Track};
use millrace_media::{BroadcastName, Media, Time, TrackName};
use millrace_transcode::native::NativeLadder;
use millrace_transcode::{Ladder, Rendition, Runner};
use tokio::runtime::Runtime;

use crate::cpu;
use crate::film;

/// The pictures that a rung may be behind its source: more than decoder and encoder hold back, fewer than the decoder makes before it
/// passes over an encoder that cannot follow.
const IN_FLIGHT: usize = 24;
/// Longer than a ladder can take.
const PATIENCE: Duration = Duration::from_secs(300);

/// A film's pictures, as they stand on the bus.
pub(crate) struct Source {
    pub(crate) header: TrackHeader,
    pub(crate) media: Vec<Media>,
}

/// A ladder that has been made.
pub(crate) struct Made {
    /// CPU time of the whole process.
    pub(crate) cpu: Duration,
    /// CPU time of the decoder's thread in it.
    pub(crate) decoding: Duration,
    /// Each rung as a CMAF file, in the order of the renditions.
    pub(crate) files: Vec<Vec<u8>>,
}

impl Source {
    /// The first so many pictures of a film.
    pub(crate) fn read(film: &film::Track, pictures: usize) -> anyhow::Result<Self> {
        let mut reader = Reader::new(Limits::default());
        reader.push(film.header.clone());
        film.chunks.iter().take(pictures).for_each(|chunk| reader.push(chunk.clone()));
        let (mut header, mut media) = (None, Vec::new());
        while let Some(item) = reader.next()? {
            match item {
                Item::Header(found) => header = found.known().next().cloned(),
                // Far enough from zero for what is decoded before it.
                Item::Chunk(chunk) => media.push(chunk.place(Time::from_millis(10_000))?),
                _ => {}
            }
        }
        ensure!(media.len() == pictures, "the film has {} chunks, not {pictures}", media.len());
        Ok(Self { header: header.context("the film has no header")?, media })
    }

    /// Has the runner make these renditions of it.
    pub(crate) fn make(&self, runtime: &Runtime, renditions: &[Arc<Rendition>]) -> anyhow::Result<Made> {
        let mut decoding = Duration::ZERO;
        let rungs = async {
            // A clock that stands still: nothing is late, so nothing is left out, however slow the machine.
            let bus = Bus::new(Settings::default(), Arc::new(Clock::manual(Duration::from_secs(1_800_000_000))));
            let ladder = Ladder {
                name: "bench".into(),
                applies_to: Arc::new(|_| true),
                renditions: renditions.to_vec(),
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
            while !renditions.iter().all(|rendition| broadcast.track(&rendition.name).is_some()) {
                tokio::time::timeout(PATIENCE, changes.changed()).await.context("no rung begins")??;
            }
            let rungs: Vec<_> = renditions.iter().filter_map(|rendition| broadcast.track(&rendition.name)).collect();
            let mut readers: Vec<_> = rungs.iter().map(|rung| rung.subscribe(Start::OldestGroup)).collect();
            for (written, media) in rest.iter().enumerate() {
                write(media)?;
                if written >= IN_FLIGHT {
                    for reader in &mut readers {
                        tokio::time::timeout(PATIENCE, reader.next()).await.context("a rung stands still")?;
                    }
                }
            }
            decoding = cpu::of_threads("decode")?;
            publisher.finish();
            drop(producer);
            tokio::time::timeout(PATIENCE, runner.shutdown()).await.context("the ladder does not end")?;
            for rung in &rungs {
                let (made, expected) = (rung.stats().fragments, self.media.len() as u64);
                ensure!(made == expected, "{} has {made} pictures of {expected}", rung.name());
            }
            rungs.iter().map(file).collect()
        };
        let (files, cpu) = cpu::taken(|| runtime.block_on(rungs))?;
        Ok(Made { cpu, decoding, files })
    }
}

/// A track's header and all that its window holds.
fn file(track: &Track) -> anyhow::Result<Vec<u8>> {
    let mut file = track.info().context("a rung has a header once it is made")?.init.to_vec();
    for fragment in track.held() {
        file.extend_from_slice(&fragment.head);
        fragment.payload.slices().iter().for_each(|slice| file.extend_from_slice(slice));
    }
    Ok(file)
}
