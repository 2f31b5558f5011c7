//! What a transcoder is told of its tracks, from their beginning to their end.

#[allow(dead_code, reason = "each test uses what it needs")]
mod source;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use millrace_media::Fragment;
use millrace_media::track::Kind;
use millrace_transcode::Runner;
use millrace_transcode::factory::{
    Context, Decision, Factory, Fault, Scope, SourceTrack, Stop, Taken, TrackEnd, Transcoder,
};
use source::{Source, bus, until};

/// What was told, in order.
type Told = Arc<Mutex<Vec<String>>>;

struct Recorder {
    scope: Scope,
    told: Told,
}

struct Recording(Told);

impl Recording {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }
}

#[async_trait]
impl Factory for Recorder {
    fn name(&self) -> &str {
        "recorder"
    }
    fn scope(&self) -> Scope {
        self.scope
    }
    fn kinds(&self) -> &[Kind] {
        &[Kind::Video]
    }
    async fn start(&self, _: Context) -> Result<Box<dyn Transcoder>, Fault> {
        let recording = Recording(self.told.clone());
        recording.note("start".into());
        Ok(Box::new(recording))
    }
}

#[async_trait]
impl Transcoder for Recording {
    async fn track(&mut self, source: &SourceTrack) -> Result<Decision, Fault> {
        self.note(format!("track {}", source.id));
        Ok(Decision::Accept)
    }
    async fn fragment(&mut self, track: u32, fragment: &Fragment) -> Result<Taken, Fault> {
        // One of each group is enough.
        if fragment.starts_group() {
            self.note(format!("group of {track}"));
        }
        Ok(Taken::Whole)
    }
    async fn track_end(&mut self, track: u32, why: TrackEnd) -> Result<(), Fault> {
        self.note(format!("end {track} {}", why.as_str()));
        Ok(())
    }
    async fn stop(&mut self, why: Stop) -> Result<(), Fault> {
        self.note(format!("stop {}", why.as_str()));
        Ok(())
    }
}

async fn is_told(told: &Told, expected: &[&str]) {
    let same = || told.lock().unwrap().iter().eq(expected);
    until(&format!("{expected:?}"), || told.lock().unwrap().len() >= expected.len()).await;
    assert!(same(), "{:?}", told.lock().unwrap());
}

#[tokio::test]
async fn the_end_of_a_track_is_told_once_with_its_reason() {
    for scope in [Scope::Track, Scope::Broadcast] {
        let bus = bus();
        let told = Told::default();
        let runner = Runner::start(&bus, vec![Arc::new(Recorder { scope, told: told.clone() })], vec![]);
        let mut source = Source::new(&bus);
        source.write(15);
        source.change_size(160, 90);
        source.write(15);
        let mut expected = vec![
            "start",
            "track 0",
            "group of 0",
            "group of 0",
            "end 0 changed",
            "track 1",
            "group of 1",
            "group of 1",
        ];
        is_told(&told, &expected).await;

        drop(source);
        let mut source = Source::new(&bus);
        source.write(5);
        expected.extend(["end 1 publisher-lost", "track 2", "group of 2"]);
        is_told(&told, &expected).await;

        source.publisher.finish();
        expected.extend(["end 2 ended", "stop ended"]);
        is_told(&told, &expected).await;

        // Another broadcast of the same name is worked on by another transcoder.
        let mut source = Source::new(&bus);
        source.write(5);
        source.publisher.finish();
        runner.shutdown().await;
        expected.extend(["start", "track 0", "group of 0", "end 0 ended", "stop ended"]);
        is_told(&told, &expected).await;
        assert_eq!(told.lock().unwrap().len(), expected.len(), "nothing is told after the end");
    }
}
