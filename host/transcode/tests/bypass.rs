//! What goes on without a transcoder whose breaker is open.

#[allow(dead_code, reason = "each test uses what it needs")]
mod source;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millrace_codec::{Unlimited, VideoCodec, VideoSettings};
use millrace_media::track::{Kind, Track};
use millrace_media::{Broadcast, Bus, Fragment};
use millrace_transcode::Runner;
use millrace_transcode::encoder::VideoEncoder;
use millrace_transcode::factory::{
    Breaker, Context, Decision, Factory, Fault, Policy, Scope, SourceTrack, Taken, Transcoder,
};
use millrace_transcode::output::Output;
use millrace_transcode::stats::Stats;
use source::{Source, bus, decoder, until};

/// The fragment at which the transcoder is lost, counted from 0. It opens the breaker.
const LOST_AT: u32 = 15;

/// Copies a track as `copy`, and has it encoded as `small`.
struct Both {
    /// It goes over its output limits before it is lost.
    exceeds: bool,
}

struct Work {
    context: Context,
    exceeds: bool,
    seen: u32,
    made: Option<(Output, VideoEncoder)>,
}

#[async_trait]
impl Factory for Both {
    fn name(&self) -> &str {
        "both"
    }
    fn scope(&self) -> Scope {
        Scope::Track
    }
    fn kinds(&self) -> &[Kind] {
        &[Kind::Video]
    }
    fn breaker(&self) -> Breaker {
        Breaker { max_faults: 1, window: Duration::from_secs(60), policy: Policy::Bypass }
    }
    async fn start(&self, context: Context) -> Result<Box<dyn Transcoder>, Fault> {
        Ok(Box::new(Work { context, exceeds: self.exceeds, seen: 0, made: None }))
    }
}

fn lost(error: impl ToString) -> Fault {
    Fault::Lost(error.to_string())
}

#[async_trait]
impl Transcoder for Work {
    async fn track(&mut self, source: &SourceTrack) -> Result<Decision, Fault> {
        let Context { outputs, encoders, .. } = &self.context;
        let settings = VideoSettings { bitrate: Some(200_000), ..VideoSettings::new(VideoCodec::H264, 160, 90) };
        let encoder = encoders.open("small", source, settings).map_err(lost)?;
        let copy = outputs.open("copy", Some(source.track.name())).map_err(lost)?;
        copy.describe_like(source).map_err(lost)?;
        self.made = Some((copy, encoder));
        Ok(Decision::Accept)
    }

    async fn fragment(&mut self, _: u32, fragment: &Fragment) -> Result<Taken, Fault> {
        self.seen += 1;
        if self.seen > LOST_AT {
            if self.exceeds {
                self.context.outputs.exceeded();
            }
            return Err(lost("trapped"));
        }
        let (copy, encoder) = self.made.as_ref().unwrap();
        copy.write(fragment.place().group, fragment.media().clone()).map_err(lost)?;
        encoder.submit(fragment).await.map_err(lost)?;
        Ok(Taken::Whole)
    }
}

fn run(bus: &Bus, exceeds: bool) -> Runner {
    Runner::start(bus, vec![Arc::new(Both { exceeds })], vec![])
}

fn stats(runner: &Runner) -> Stats {
    runner.stats()[0].1
}

async fn ended(broadcast: &Broadcast, name: &str) -> Track {
    let track = broadcast.track(name).expect("it was made");
    until("it ends", || track.is_ended()).await;
    track
}

#[tokio::test]
async fn copies_change_with_the_source_and_encoders_keep_their_size() {
    let bus = bus();
    let runner = run(&bus, false);
    let mut source = Source::new(&bus);
    let broadcast = source.publisher.broadcast().clone();
    let mut written = source.write(20);
    until("the breaker is open", || stats(&runner).breaker == Some(Policy::Bypass)).await;
    source.change_size(200, 200);
    written.extend(source.write(20));
    source.change_size(320, 180);
    written.extend(source.write(20));
    source.publisher.finish();
    written.remove(LOST_AT as usize);

    let copy = ended(&broadcast, "copy").await.held();
    assert_eq!(copy.len(), written.len());
    for (mine, theirs) in copy.iter().zip(&written) {
        assert_eq!((mine.presentation_time, mine.info()), (theirs.presentation_time, theirs.info()));
    }
    assert!(copy[18].info() != copy[19].info(), "the header is that of the fragments");

    let small = ended(&broadcast, "small").await.held();
    let mut decoder = decoder(small[0].info());
    let mut frames = Vec::new();
    for fragment in &small {
        assert_eq!(fragment.info(), small[0].info());
        let sample = fragment.payload.contiguous(0, fragment.payload.len()).unwrap();
        decoder.decode(&sample, fragment.presentation_time, &mut Unlimited, &mut frames).unwrap();
    }
    decoder.flush(&mut frames).unwrap();
    // The fragment that it was lost at is missing, and with it the rest of that group.
    let last = |fragments: &[Fragment]| fragments.last().unwrap().presentation_time;
    assert_eq!((frames.len(), last(&small)), (small.len(), last(&written)));
    assert!(small.len() >= 55, "{}", small.len());
    assert!(frames.iter().all(|frame| (frame.size().width(), frame.size().height()) == (160, 90)));
}

#[tokio::test]
async fn nothing_goes_on_of_a_transcoder_that_went_over_its_output_limits() {
    let bus = bus();
    let runner = run(&bus, true);
    let mut source = Source::new(&bus);
    let broadcast = source.publisher.broadcast().clone();
    let written = source.write(60);
    until("the breaker is open", || stats(&runner).breaker == Some(Policy::Bypass)).await;
    source.publisher.finish();
    let last = written[LOST_AT as usize - 1].presentation_time;
    for name in ["copy", "small"] {
        let made = ended(&broadcast, name).await;
        assert_eq!(
            (made.stats().fragments, made.newest().unwrap().presentation_time),
            (LOST_AT.into(), last),
            "{name}"
        );
    }
    drop(runner);
}
