//! Encoders on real pictures, with backends that are odd in one way each.

mod backends;
#[allow(dead_code, reason = "each test uses what it needs")]
#[path = "../../tests/source/mod.rs"]
mod source;

mod deadline;
mod failure;
mod order;
mod outputs;
mod overload;
mod reconfigure;
mod rest;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millrace_codec::VideoSettings;
use millrace_media::bus::Bus;
use millrace_media::track::{Start, Track};
use millrace_media::{Broadcast, Fragment};
use tokio::task::JoinHandle;

use super::coder::Opener;
use super::{Encoders, VideoEncoder, Wiring};
use crate::decode::Decoders;
use crate::factory::SourceTrack;
use crate::ladder::{Economy, Rendition};
use crate::output::{Outputs, Owner};
use crate::stats::{Counters, Key, Stats};
use source::Source;

/// The encoders of one source's renditions, without a runner.
struct Bench {
    bus: Bus,
    broadcast: Broadcast,
    source: Track,
    decoders: Arc<Decoders>,
}

/// One encoder that is given every fragment of the source from the next group on.
struct Driven {
    encoders: Encoders,
    encoder: VideoEncoder,
    counters: Arc<Counters>,
    /// Fragments it was given.
    seen: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Bench {
    fn new(bus: &Bus, source: &Source) -> Self {
        let broadcast = source.publisher.broadcast().clone();
        Self { bus: bus.clone(), source: source.producer.track().clone(), broadcast, decoders: Arc::default() }
    }

    fn encoders(&self, rendition: &Arc<Rendition>, economy: Economy, opener: Opener) -> (Encoders, Arc<Counters>) {
        let key = Key {
            factory: "test".into(),
            rendition: Some(rendition.name.clone()),
            broadcast: self.broadcast.name().clone(),
            track: Some(self.source.name().clone()),
        };
        let counters = Arc::new(Counters::new(&key));
        let owner = Owner {
            factory: key.factory.clone(),
            rendition: key.rendition.clone(),
            track: key.track.clone(),
            renditions: vec![],
        };
        let wiring = Wiring {
            renditions: vec![rendition.clone()],
            economy: Arc::new(economy),
            outputs: Outputs::new(self.broadcast.clone(), owner, counters.clone()),
            counters: counters.clone(),
            decoders: self.decoders.clone(),
            clock: self.bus.clock().clone(),
        };
        (Encoders::with_opener(wiring, opener), counters)
    }

    fn source(&self) -> SourceTrack {
        SourceTrack { id: 0, track: self.source.clone(), info: self.source.info().unwrap() }
    }

    fn settings(&self, rendition: &Rendition) -> VideoSettings {
        rendition.fit(&self.source.info().unwrap().format).unwrap()
    }

    fn drive(&self, rendition: &Arc<Rendition>, economy: Economy, opener: Opener) -> Driven {
        let (encoders, counters) = self.encoders(rendition, economy, opener);
        let encoder = encoders.open(&rendition.name, &self.source(), self.settings(rendition)).unwrap();
        let mut consumer = self.source.subscribe(Start::OldestGroup);
        let seen = Arc::new(AtomicU64::new(0));
        let (given, all, count) = (encoder.clone(), encoders.clone(), seen.clone());
        let task = tokio::spawn(async move {
            while let Some(event) = consumer.next().await {
                if let millrace_media::track::Event::Fragment(fragment) = event {
                    let _ = given.submit(&fragment).await;
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
            all.finish().await;
        });
        Driven { encoders, encoder, counters, seen, task }
    }

    fn track(&self, name: &str) -> Track {
        self.broadcast.track(name).unwrap()
    }
}

impl Driven {
    fn stats(&self) -> Stats {
        self.counters.read()
    }

    fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Waits for the end of the source, and gives what the rung has.
    async fn end(self, track: &Track) -> Vec<Fragment> {
        self.task.await.unwrap();
        track.held()
    }
}

fn held(track: &Track) -> Vec<(i64, u64)> {
    track.held().iter().map(|held| (held.presentation_time.ticks(), held.place().group.0)).collect()
}
