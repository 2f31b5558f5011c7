//! The sound of renditions: real sound from ffmpeg, made Opus in its place.

#[allow(dead_code, reason = "each test uses what it needs")]
mod source;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millrace_cmaf::CodecConfig;
use millrace_cmaf::write::InitSettings;
use millrace_cmaf::{Chunk, Item, Limits, Reader};
use millrace_codec::audio::{AudioCodec, AudioSettings, open_audio_decoder};
use millrace_media::track::{Format, Info, Kind, Producer, Start, Track};
use millrace_media::{Broadcast, BroadcastName, Bus, Fragment, Media, Payload, Publisher, Time, Timescale, TrackName};
use millrace_transcode::factory::{Context, Decision, Factory, Fault, Scope, SourceTrack, Taken, Transcoder};
use millrace_transcode::native::NativeLadder;
use millrace_transcode::sound::AudioEncoder;
use millrace_transcode::{Rendition, Runner, Sound};
use source::{Source, bus, ladder, read, until};

const OPUS: Timescale = Timescale::new(48_000).unwrap();

/// The rendition 90p with sound of its own.
fn with_opus() -> Arc<Rendition> {
    let audio = Sound::Opus { bitrate: 96_000 };
    Arc::new(Rendition { audio, ..(*source::rendition("90p", 160, 90)).clone() })
}

fn run(bus: &Bus, rendition: Arc<Rendition>) -> Runner {
    Runner::start(bus, vec![Arc::new(NativeLadder)], vec![ladder(&[rendition])])
}

/// Seconds of sound with a short burst each quarter of a second, in fragments of about 100 ms, as ffmpeg makes them.
fn clicks(encoder: &str, rate: u32, channels: u8, seconds: u32) -> (Info, Vec<Chunk>) {
    let click = "if(lt(mod(t,0.25),0.004),0.9*sin(2*PI*2500*mod(t,0.25)),0)";
    let sides = vec![click; channels.into()].join("|");
    let input = format!("aevalsrc='{sides}':s={rate}:d={seconds}");
    let args = ["-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", &input, "-c:a", encoder, "-b:a", "128k"];
    let form = ["-f", "mp4", "-movflags", "empty_moov+default_base_moof", "-frag_duration", "100000", "pipe:1"];
    let output = Command::new("ffmpeg").args(args).args(form).output().expect("ffmpeg must be installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut reader = Reader::new(Limits::default());
    reader.push(output.stdout.into());
    let (mut info, mut chunks) = (None, Vec::new());
    while let Some(item) = reader.next().unwrap() {
        match item {
            Item::Header(header) => info = header.known().next().map(|track| track.info.clone()),
            Item::Chunk(chunk) => chunks.push(chunk),
            _ => {}
        }
    }
    (info.unwrap(), chunks)
}

/// A publisher of sound alone.
struct Publishing {
    publisher: Publisher,
    producer: Producer,
    offset: Time,
}

impl Publishing {
    fn new(bus: &Bus, info: Info, chunks: &[Chunk]) -> Self {
        let publisher = bus.publish(&BroadcastName::new("live/test").unwrap()).unwrap();
        let first = chunks[0].presentation_time();
        let offset = Time::from_secs(publisher.offset(first), first.scale());
        let producer = publisher.create_track(TrackName::new("audio").unwrap(), info).unwrap();
        Self { publisher, producer, offset }
    }

    fn broadcast(&self) -> Broadcast {
        self.publisher.broadcast().clone()
    }

    fn media(&self, chunk: &Chunk) -> Media {
        chunk.place(self.offset).unwrap()
    }

    fn write<'a>(&mut self, chunks: impl IntoIterator<Item = &'a Chunk>) -> Vec<Fragment> {
        chunks.into_iter().map(|chunk| self.producer.write(chunk.place(self.offset).unwrap()).unwrap()).collect()
    }

    fn finish(self) {
        drop(self.producer);
        self.publisher.finish();
    }

    /// Finishes, and gives all of the rung.
    async fn rung(self) -> Vec<Fragment> {
        let mut rung = track(&self.broadcast(), "90p-audio").await.subscribe(Start::OldestGroup);
        self.finish();
        read(&mut rung, usize::MAX).await
    }
}

async fn track(broadcast: &Broadcast, name: &str) -> Track {
    until("the rung's track", || broadcast.track(name).is_some_and(|track| track.info().is_some())).await;
    broadcast.track(name).unwrap()
}

/// When the bursts of a track begin, in seconds: each packet is decoded and stands at its time.
fn heard(fragments: &[Fragment]) -> Vec<f64> {
    let info = fragments[0].info();
    let header = millrace_cmaf::describe(&info.init).unwrap();
    let mut decoder = open_audio_decoder(&info.codec, header.config.record()).unwrap();
    let mut found: Vec<f64> = Vec::new();
    for fragment in fragments {
        for timed in fragment.timed_samples() {
            let packet = fragment.payload.contiguous(timed.sample.offset, timed.sample.size).unwrap();
            let mut samples = Vec::new();
            if decoder.decode(&packet, timed.presentation_time, &mut samples).is_err() {
                continue;
            }
            for (index, frame) in samples.chunks(decoder.channels().into()).enumerate() {
                let at = timed.presentation_time.as_secs_f64() + index as f64 / f64::from(decoder.sample_rate());
                if frame[0].abs() > 0.3 && found.last().is_none_or(|last| at - last > 0.1) {
                    found.push(at);
                }
            }
        }
    }
    found
}

/// The bursts of the rung are those of the source, within a millisecond.
fn assert_heard(rung: &[Fragment], source: &[Fragment], expected: usize) {
    let (ours, theirs) = (heard(rung), heard(source));
    assert_eq!(theirs.len(), expected, "{theirs:?}");
    assert_eq!(ours.len(), expected, "{ours:?} for {theirs:?}");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!((ours - theirs).abs() < 0.001, "{ours} for {theirs}");
    }
}

/// Fragments follow each other without a hole, but for so many jumps.
fn assert_jumps(rung: &[Fragment], expected: usize) {
    let follows = |pair: &&[Fragment]| pair[0].decode_time + pair[0].duration == pair[1].decode_time;
    assert_eq!(rung.windows(2).filter(|pair| !follows(pair)).count(), expected);
}

#[tokio::test]
async fn a_rendition_has_the_sound_of_its_source_in_its_place() {
    for (encoder, rate, channels) in
        [("aac", 44_100, 2), ("aac", 48_000, 1), ("aac", 22_050, 2), ("libopus", 48_000, 2)]
    {
        let bus = bus();
        let _runner = run(&bus, with_opus());
        let (info, chunks) = clicks(encoder, rate, channels, 5);
        let mut source = Publishing::new(&bus, info, &chunks);
        let written = source.write(&chunks);
        let made = track(&source.broadcast(), "90p-audio").await;
        assert_eq!(made.provenance().to_string(), "native-ladder (90p)");
        let rung = source.rung().await;

        let what = format!("{encoder} {rate} {channels}");
        let info = rung[0].info();
        assert_eq!((info.codec.as_str(), info.bitrate), ("opus", Some(96_000)));
        assert_eq!(info.format, Format::Audio { sample_rate: 48_000, channels: channels.into() }, "{what}");
        let header = millrace_cmaf::describe(&info.init).unwrap();
        assert_eq!(header.timeline_shift.ticks(), -312, "what its header says is before the sound");

        assert_heard(&rung, &written, 20);
        assert_jumps(&rung, 0);
        let first = written[0].presentation_time.rescale(OPUS).ticks();
        assert_eq!(rung[0].presentation_time.ticks(), first - 312, "{what}");
        let (last, end) = (rung.last().unwrap(), written.last().unwrap());
        assert!(last.presentation_time + last.duration >= end.presentation_time + end.duration, "{what}");
        // Each lies in the group of the source's fragment it begins in; all but the last of a group are of 100 ms.
        let groups: Vec<_> = written.iter().map(|theirs| theirs.place().group).collect();
        assert!(groups.last() > groups.first());
        for mine in &rung {
            let origin = written.iter().rev().find(|theirs| theirs.presentation_time <= mine.presentation_time);
            assert_eq!(mine.place().group, origin.unwrap_or(&written[0]).place().group, "{what}");
        }
        let short = rung.iter().filter(|mine| mine.duration.ticks() != 4_800).count();
        assert!(short as u64 <= 1 + groups.last().unwrap().0 - groups.first().unwrap().0, "{what}: {short}");
    }
}

#[tokio::test]
async fn the_sources_own_sound_is_not_encoded_again() {
    let bus = bus();
    let runner = run(&bus, source::rendition("90p", 160, 90));
    let (info, chunks) = clicks("libopus", 48_000, 2, 1);
    let mut source = Publishing::new(&bus, info, &chunks);
    let broadcast = source.broadcast();
    source.write(&chunks);
    source.finish();
    runner.shutdown().await;
    assert_eq!(broadcast.tracks().len(), 1);
}

#[tokio::test]
async fn damage_is_counted_and_what_follows_stays_in_its_place() {
    let bus = bus();
    let runner = run(&bus, with_opus());
    let (info, chunks) = clicks("aac", 44_100, 2, 4);
    let mut source = Publishing::new(&bus, info, &chunks);
    let (mut written, mut damaged) = (Vec::new(), 0);
    for (index, chunk) in chunks.iter().enumerate() {
        let mut media = source.media(chunk);
        if [3, 11, 12, 21].contains(&index) {
            let mut garbage = Payload::default();
            let length = media.payload.len() as usize;
            // Zeros, and bytes without a meaning.
            let byte = if index == 11 { 0 } else { 0xa7 };
            assert!(garbage.push(Bytes::from(vec![byte; length])));
            media.payload = garbage;
            damaged += media.samples.len() as u64;
        }
        if index == 26 {
            let mut samples = media.samples.to_vec();
            samples[1].size = 0;
            media.samples = samples.into();
        }
        written.push(source.producer.write(media).unwrap());
    }
    until("all is submitted", || runner.stats().iter().any(|(_, stats)| stats.fragments == chunks.len() as u64)).await;
    let before = heard(&written).len();
    until("it is counted", || runner.stats().iter().any(|(_, stats)| stats.dropped > damaged / 2)).await;
    let rung = source.rung().await;
    assert!(before >= 10);
    assert_heard(&rung, &written, before);
    assert_jumps(&rung, 0);
}

#[tokio::test]
async fn short_gaps_are_silent_and_long_ones_begin_anew() {
    let bus = bus();
    let _runner = run(&bus, with_opus());
    let (info, chunks) = clicks("aac", 44_100, 2, 8);
    let mut source = Publishing::new(&bus, info, &chunks);
    // Four tenths of a second, then three seconds.
    let lost = |index: usize| (10..14).contains(&index) || (30..60).contains(&index);
    let kept = chunks.iter().enumerate().filter(|(index, _)| !lost(*index)).map(|(_, chunk)| chunk);
    let written = source.write(kept);
    let rung = source.rung().await;
    let bursts = heard(&written).len();
    assert!((15..25).contains(&bursts), "{bursts}");
    assert_heard(&rung, &written, bursts);
    assert_jumps(&rung, 1);
}

#[tokio::test]
async fn a_publishers_return_goes_on_under_the_same_headers() {
    let bus = bus();
    let _runner = run(&bus, with_opus());
    let (info, chunks) = clicks("aac", 48_000, 2, 2);
    let mut source = Publishing::new(&bus, info.clone(), &chunks);
    let broadcast = source.broadcast();
    let mut written = source.write(&chunks);
    let track = track(&broadcast, "90p-audio").await;
    drop(source);
    bus.clock().advance(Duration::from_secs(5));
    let mut source = Publishing::new(&bus, info, &chunks);
    written.extend(source.write(&chunks));
    source.finish();
    let rung = read(&mut track.subscribe(Start::OldestGroup), usize::MAX).await;
    assert_heard(&rung, &written, 16);
    assert!(rung.iter().all(|fragment| fragment.info() == rung[0].info()), "the headers stay");
    let (first, last) = (rung[0].place(), rung.last().unwrap().place());
    assert!(last.epoch > first.epoch && last.group > first.group);
    assert_eq!(last.epoch, written.last().unwrap().place().epoch);
}

#[tokio::test]
async fn sound_that_cannot_be_decoded_is_declined() {
    let bus = bus();
    let runner = run(&bus, with_opus());
    let (_, chunks) = clicks("aac", 48_000, 2, 1);
    let he_aac = InitSettings {
        track_id: 1,
        timescale: OPUS,
        format: Format::Audio { sample_rate: 48_000, channels: 2 },
        config: CodecConfig::Aac(Bytes::from_static(&[0x2b, 0x11, 0x88, 0x00])),
        language: None,
        bitrate: None,
    };
    let mut source = Publishing::new(&bus, he_aac.info().unwrap(), &chunks);
    let broadcast = source.broadcast();
    source.write(&chunks);
    // Everything is there to be read: the transcoder's task needs nothing but its turn.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(runner.stats().iter().map(|(_, stats)| stats.start_faults).collect::<Vec<_>>(), [0]);
    source.finish();
    runner.shutdown().await;
    assert_eq!(broadcast.tracks().len(), 1);
}

#[tokio::test]
async fn a_rendition_larger_than_the_pictures_has_no_sound_either() {
    let bus = bus();
    let larger = Rendition { audio: Sound::Opus { bitrate: 96_000 }, ..(*source::rendition("480p", 854, 480)).clone() };
    let runner = Runner::start(&bus, vec![Arc::new(NativeLadder)], vec![ladder(&[Arc::new(larger), with_opus()])]);
    let mut pictures = Source::new(&bus);
    pictures.write(10);
    let (info, chunks) = clicks("aac", 48_000, 2, 2);
    let audio = pictures.publisher.create_track(TrackName::new("audio").unwrap(), info).unwrap();
    let broadcast = pictures.publisher.broadcast().clone();
    let first = chunks[0].presentation_time();
    let offset = Time::from_secs(pictures.publisher.offset(first), first.scale());
    let mut audio = audio;
    for chunk in &chunks {
        audio.write(chunk.place(offset).unwrap()).unwrap();
    }
    track(&broadcast, "90p-audio").await;
    runner.shutdown().await;
    assert!(broadcast.track("480p-audio").is_none());
}

#[tokio::test]
async fn sound_that_comes_much_faster_than_it_is_heard_is_dropped_counted_and_noted() {
    let bus = bus();
    let runner = run(&bus, with_opus());
    let (info, chunks) = clicks("aac", 48_000, 1, 25);
    let mut source = Publishing::new(&bus, info, &chunks);
    let broadcast = source.broadcast();
    // The clock stands still: there are 20 seconds at once, of which beginning costs one.
    source.write(&chunks);
    let limited = || runner.stats().iter().map(|(_, stats)| stats.limited).sum::<u64>();
    until("the rest is dropped", || limited() >= 6 * 48_000 / 1_024).await;
    let notes = runner.notes(&broadcast);
    assert!(notes.len() == 1 && notes[0].contains("20 times as fast"), "{notes:?}");
    let rung = source.rung().await;
    let seconds: f64 = rung.iter().map(|fragment| fragment.duration.as_secs_f64()).sum();
    assert!((18.5..19.5).contains(&seconds), "{seconds}");
}

/// Encodes audio as `90p-audio`, and asks for half of the bitrate at the eleventh fragment.
struct Halving;

struct HalvingAudio {
    context: Context,
    encoder: Option<AudioEncoder>,
    seen: u32,
}

#[async_trait]
impl Factory for Halving {
    fn name(&self) -> &str {
        "halving"
    }
    fn scope(&self) -> Scope {
        Scope::Track
    }
    fn kinds(&self) -> &[Kind] {
        &[Kind::Audio]
    }
    async fn start(&self, context: Context) -> Result<Box<dyn Transcoder>, Fault> {
        Ok(Box::new(HalvingAudio { context, encoder: None, seen: 0 }))
    }
}

#[async_trait]
impl Transcoder for HalvingAudio {
    async fn track(&mut self, source: &SourceTrack) -> Result<Decision, Fault> {
        let settings = AudioSettings { codec: AudioCodec::Opus, bitrate: 96_000 };
        self.encoder = Some(self.context.encoders.open_audio("90p-audio", source, settings)?);
        Ok(Decision::Accept)
    }
    async fn fragment(&mut self, _: u32, fragment: &Fragment) -> Result<Taken, Fault> {
        let encoder = self.encoder.as_ref().expect("the track was accepted");
        self.seen += 1;
        if self.seen == 11 {
            encoder.reconfigure(AudioSettings { bitrate: 48_000, ..encoder.settings() })?;
        }
        encoder.submit(fragment).await?;
        Ok(Taken::Whole)
    }
}

#[tokio::test]
async fn audio_keeps_its_header_when_its_bitrate_changes_before_a_jump() {
    let bus = bus();
    let runner = Runner::start(&bus, vec![Arc::new(Halving)], vec![]);
    let (info, chunks) = clicks("aac", 48_000, 2, 8);
    let mut source = Publishing::new(&bus, info, &chunks);
    source.write(&chunks[..10]);
    assert_eq!(track(&source.broadcast(), "90p-audio").await.info().unwrap().bitrate, Some(96_000));
    let written = source.write(chunks[10..30].iter().chain(&chunks[60..]));
    let rung = source.rung().await;
    assert_jumps(&rung, 1);
    assert!(rung.last().unwrap().presentation_time > written[written.len() - 2].presentation_time);
    assert!(rung.iter().all(|fragment| fragment.info() == rung[0].info()));
    drop(runner);
}
