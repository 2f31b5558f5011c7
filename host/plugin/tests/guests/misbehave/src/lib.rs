//! A plugin that does what its settings say, mostly what a plugin should not: `{"do": "loop"}`. Otherwise it writes each track again, as
//! `<track>-<what it does>`.

wit_bindgen::generate!({ path: "../../../../../wit", world: "transcoder-plugin", generate_all });

mod chunk;
mod raw;
mod wasi;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use exports::millrace::plugin::{about, transcoder};
use millrace::plugin::codec::{VideoEncoder, VideoSettings};
use millrace::plugin::log::{self, Level};
use millrace::plugin::media::{Context, Decision, Description, Event, Fragment, Loss, Marks, Rendition, Timing, Track};
use millrace::plugin::metrics::{Alarm, Counter, Gauge, Histogram, Labels};
use millrace::plugin::output::{Coded, OutputTrack};
use millrace::plugin::state::Slot;
use millrace::plugin::types::{Entry, Error, Size, TrackKind};

thread_local! {
    static WHAT: RefCell<String> = const { RefCell::new(String::new()) };
    static OUTPUTS: RefCell<HashMap<u32, (Track, OutputTrack)>> = RefCell::new(HashMap::new());
    static KEPT: RefCell<Vec<Fragment>> = const { RefCell::new(Vec::new()) };
    static GAUGE: RefCell<Option<Gauge>> = const { RefCell::new(None) };
    static ALARM: RefCell<Option<Alarm>> = const { RefCell::new(None) };
    static RENDITION: RefCell<Option<Rendition>> = const { RefCell::new(None) };
    static ENCODER: RefCell<Option<VideoEncoder>> = const { RefCell::new(None) };
    static FRAGMENTS: Cell<u32> = const { Cell::new(0) };
}

struct Misbehave;

/// The value of the first key.
fn what(settings: &str) -> &str {
    settings.split('"').nth(3).unwrap_or("nothing")
}

/// Its name is looked for in what the host says.
#[inline(never)]
fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

fn spin() -> ! {
    loop {
        std::hint::black_box(());
    }
}

/// So many mebibytes of this byte.
fn allocate(mebibytes: usize, byte: u8) -> Vec<Vec<u8>> {
    (0..mebibytes).map(|_| std::hint::black_box(vec![byte; 1 << 20])).collect()
}

fn expect_invalid<T>(what: &str, given: Result<T, Error>) -> Result<(), Error> {
    match given {
        Err(Error::Invalid(_)) => Ok(()),
        Err(other) => Err(Error::Failed(format!("{what}: {other:?}"))),
        Ok(_) => Err(Error::Failed(format!("{what} was taken"))),
    }
}

fn expect_unsupported<T>(what: &str, given: Result<T, Error>) -> Result<(), Error> {
    match given {
        Err(Error::Unsupported(_)) => Ok(()),
        Err(other) => Err(Error::Failed(format!("{what}: {other:?}"))),
        Ok(_) => Err(Error::Failed(format!("{what} was taken"))),
    }
}

fn expect_overloaded<T>(what: &str, given: Result<T, Error>) -> Result<(), Error> {
    match given {
        Err(Error::Overloaded(_)) => Ok(()),
        Err(other) => Err(Error::Failed(format!("{what}: {other:?}"))),
        Ok(_) => Err(Error::Failed(format!("{what} was taken"))),
    }
}

fn event(presentation_time: i64, id: u32) -> Event {
    Event {
        scheme_id_uri: "urn:test".into(),
        value: "1".into(),
        id,
        presentation_time,
        duration: Some(9000),
        message: b"hello".to_vec(),
    }
}

fn bad_arguments(fragment: &Fragment, track: &Track, output: &OutputTrack) -> Result<(), Error> {
    let (info, samples) = (fragment.info(), fragment.samples().len() as u32);
    expect_invalid("a read past the end", fragment.read(info.size, 1))?;
    expect_invalid("a read that overflows", fragment.read(u32::MAX, u32::MAX))?;
    expect_invalid("an empty name", OutputTrack::like("", track))?;
    expect_invalid("a name with a slash", OutputTrack::like("a/b", track))?;
    expect_invalid("a name that is too long", OutputTrack::like(&"a".repeat(65), track))?;
    expect_invalid("the source's name", OutputTrack::like("video", track))?;
    expect_invalid("a header that is none", OutputTrack::from_init("mine", b"not MP4"))?;
    expect_invalid("a metric of no name", Counter::open("", Labels::empty(), &[]))?;
    expect_invalid("a label that there is not", Counter::open("c", Labels::RENDITION, &[]))?;
    expect_invalid("no buckets", Histogram::open("h", Labels::empty(), &[], &[]))?;
    expect_invalid("an odd size", VideoSettings::new("h264", Size { width: 3, height: 4 }))?;
    expect_invalid("an event before zero", fragment.with_event(&event(-1, 0)))?;
    expect_invalid("bytes in a sample that is not there", fragment.insert(samples, 0, b"x"))?;
    expect_invalid("bytes past a sample", fragment.insert(0, u32::MAX, b"x"))?;
    expect_invalid("without the first sample", fragment.without_samples(&[0]))?;
    expect_invalid("without a sample that is not there", fragment.without_samples(&[u32::MAX]))?;
    expect_invalid("no data for the samples", fragment.with_samples(&[]))?;
    expect_invalid("a fragment of nothing", output.write(info.group, &[], None))?;
    let timing = Timing { decode_time: 0, composition_offset: 0, duration: 0, marks: Marks::empty() };
    expect_invalid("an unknown group", output.write(u64::MAX, &[Coded { timing, data: vec![0] }], None))?;
    expect_invalid("a chunk that is none", output.write_chunk(info.group, b"not a chunk"))?;
    expect_invalid("a language that is none", output.set_language("d\"e"))?;
    expect_unsupported("a role that is none", output.set_role("villain"))?;
    expect_unsupported("a scope that is none", Slot::open("world"))?;
    expect_overloaded("a value too large", Slot::open("instance")?.save(&vec![0; (64 << 10) + 1]))?;
    expect_unsupported("a codec that is none", VideoSettings::new("theora", Size { width: 640, height: 480 }))
}

impl about::Guest for Misbehave {
    fn describe(settings: String, about: &Description) -> Result<(), Error> {
        let what = what(&settings);
        match what {
            "trap-at-describe" => trap(),
            "loop-at-describe" => spin(),
            "allocate-at-describe" => drop(allocate(4096, 1)),
            "refuse" => return Err(Error::Invalid("the key `do` says refuse".into())),
            "say-nothing" => return Ok(()),
            "state-at-describe" => drop(Slot::open("broadcast")?),
            "bad-description" => {
                expect_unsupported("a hook", about.want("brakes", TrackKind::Video))?;
                expect_unsupported("a scope", about.set_scope("transcoder", "world"))?;
                expect_invalid("a summary", about.set_summary("a\nb"))?;
                expect_invalid("a long summary", about.set_summary(&"a".repeat(201)))?;
            }
            _ => {}
        }
        about.want("transcoder", TrackKind::Video)?;
        if what == "broadcast" {
            about.want("transcoder", TrackKind::Audio)?;
            about.set_scope("transcoder", "broadcast")?;
        }
        if what.starts_with("encode") {
            about.set_scope("transcoder", "rendition")?;
        }
        about.set_summary("Does what it should not")
    }
}

impl transcoder::Guest for Misbehave {
    fn start(context: &Context) -> Result<(), Error> {
        let settings = context.settings();
        let what = what(&settings);
        match what {
            "trap-at-start" => trap(),
            "loop-at-start" => spin(),
            // What the one before has left where nobody should find it.
            "recycled" if context.reason() == "after-fault" => {
                let mut fresh = core::arch::wasm32::memory_grow::<0>(16 << 4);
                fresh *= 64 << 10;
                // Memory that was just grown is zero.
                let bytes = unsafe { core::slice::from_raw_parts(fresh as *const u8, 16 << 20) };
                if bytes.iter().any(|byte| *byte != 0) {
                    return Err(Error::Failed("old bytes were found".into()));
                }
                log::write(Level::Info, "nothing was found");
            }
            "remember" => {
                let (instance, plugin) = (Slot::open("instance")?, Slot::open("plugin")?);
                for slot in [&instance, &plugin] {
                    let count = slot.load().and_then(|value| value.first().copied()).unwrap_or(0);
                    slot.save(&[count + 1])?;
                }
                Slot::open("broadcast")?.save(b"here")?;
            }
            _ => {}
        }
        WHAT.set(what.to_owned());
        RENDITION.set(context.rendition());
        if what == "why" {
            log::write(Level::Info, &format!("{} {}", context.reason(), context.renditions().len()));
        }
        Ok(())
    }

    fn on_track(track: Track) -> Result<Decision, Error> {
        let what = WHAT.with_borrow(String::clone);
        match what.as_str() {
            "decline" => return Ok(Decision::Decline),
            "trap-at-track" => trap(),
            "error-at-track" => return Err(Error::Failed("on purpose".into())),
            what if what.starts_with("encode") => {
                let encoder = RENDITION.with_borrow(|rendition| {
                    let rendition = rendition.as_ref().ok_or(Error::Closed)?;
                    let settings = VideoSettings::of(rendition, &track).ok_or(Error::Closed)?;
                    settings.set_speed("draft")?;
                    VideoEncoder::open(&rendition.name(), &track, &settings)
                })?;
                ENCODER.set(Some(encoder));
            }
            "tracks" => {
                for n in 0..3 {
                    OutputTrack::like(&format!("more-{n}"), &track)?;
                }
            }
            _ => {}
        }
        let output = OutputTrack::like(&format!("{}-{what}", track.name()), &track)?;
        if what == "tracks" {
            expect_overloaded("a fifth track", OutputTrack::like("more-3", &track))?;
        }
        if what == "listed" {
            output.set_role("alternate")?;
            output.set_language("de-AT")?;
            output.set_listed(false)?;
            output.set_replaces(&track)?;
        }
        if what == "describe-track" {
            log::write(Level::Info, &describe(&track));
        }
        if what == "remember" {
            let seen = |scope| Slot::open(scope).ok().and_then(|slot| slot.load()).map_or(0, |value| value[0]);
            OutputTrack::like(&format!("seen-{}-{}", seen("instance"), seen("plugin")), &track)?;
        }
        OUTPUTS.with_borrow_mut(|outputs| outputs.insert(track.id(), (track, output)));
        Ok(Decision::Accept)
    }

    fn on_fragment(fragment: &Fragment) -> Result<(), Error> {
        FRAGMENTS.set(FRAGMENTS.get() + 1);
        let what = WHAT.with_borrow(String::clone);
        if what.starts_with("encode") {
            return encode(&what, fragment);
        }
        OUTPUTS.with_borrow(|outputs| {
            let (track, output) = outputs.get(&fragment.track()).ok_or(Error::Closed)?;
            work(&what, fragment, track, output)
        })
    }

    fn on_gap(loss: &Loss) -> Result<(), Error> {
        log::write(Level::Info, &format!("{} fragments are missing: {}", loss.skipped(), loss.cause()));
        Ok(())
    }

    fn on_track_end(track: u32, why: String) -> Result<(), Error> {
        log::write(Level::Info, &format!("a track is over: {why}"));
        OUTPUTS.with_borrow_mut(|outputs| outputs.remove(&track));
        Ok(())
    }

    fn stop(why: String) -> Result<(), Error> {
        log::write(Level::Info, &format!("stopped: {why}"));
        match WHAT.take().as_str() {
            "trap-at-stop" => trap(),
            "error-at-stop" => Err(Error::Failed("on purpose".into())),
            _ => Ok(()),
        }
    }
}

fn describe(track: &Track) -> String {
    let size = |size: Option<Size>| size.map(|size| format!("{}x{}", size.width, size.height));
    format!(
        "{} {} {} {:?} {:?} {:?} {:?} {:?} {}",
        track.name(),
        track.codec(),
        track.timescale(),
        size(track.size()),
        size(track.display_size()),
        track.frame_rate().map(|rate| (rate.numerator, rate.denominator)),
        track.sample_rate(),
        track.language(),
        track.init_segment().len()
    )
}

fn encode(what: &str, fragment: &Fragment) -> Result<(), Error> {
    ENCODER.with_borrow(|encoder| {
        let encoder = encoder.as_ref().ok_or(Error::Closed)?;
        match (what, FRAGMENTS.get()) {
            ("encode", 13) => trap(),
            ("encode-reconfigured", 11) => {
                let settings = encoder.settings();
                expect_invalid("another size", {
                    settings.set_size(Size { width: 64, height: 64 })?;
                    encoder.reconfigure(&settings)
                })?;
                let settings = encoder.settings();
                settings.set_bitrate(Some(100_000))?;
                encoder.reconfigure(&settings)?;
                if encoder.settings().bitrate() != Some(100_000) {
                    return Err(Error::Failed("the settings are not in force".into()));
                }
            }
            ("encode-reconfigured", 29) => {
                let done = encoder.statistics();
                let (frames, bytes) = (done.frames_encoded(), done.bytes());
                if frames == 0 || bytes == 0 || done.quantizer().is_some() {
                    return Err(Error::Failed(format!("{frames} frames and {bytes} bytes were encoded")));
                }
            }
            _ => {}
        }
        encoder.submit(fragment)
    })
}

fn work(what: &str, fragment: &Fragment, track: &Track, output: &OutputTrack) -> Result<(), Error> {
    let info = fragment.info();
    match what {
        "trap-every-third" | "remember" | "why" if FRAGMENTS.get() == 3 => trap(),
        "loop" => spin(),
        "allocate" => drop(allocate(4096, 1)),
        "error" => return Err(Error::Failed("on purpose\nand on two lines".into())),
        "keep" => loop {
            let kept = fragment.share()?;
            KEPT.with_borrow_mut(|all| all.push(kept));
        },
        "flood" => return (0..20).try_for_each(|_| output.emit(fragment)),
        "log" => (0..1000).for_each(|_| log::write(Level::Warn, &"flood\n".repeat(1000))),
        "log-for-ever" => loop {
            log::write(Level::Warn, &"flood\n".repeat(1000));
        },
        "events-for-ever" => loop {
            let _ = fragment.with_event(&event(info.presentation_time, 1));
        },
        "metrics-for-ever" => {
            for n in 0.. {
                let more = [Entry { key: "n".into(), value: format!("{n}") }];
                let _ = Counter::open("flood", Labels::BROADCAST, &more);
            }
        }
        "series" => {
            for n in 0..1000 {
                let more = [Entry { key: "n".into(), value: format!("{n}") }];
                Counter::open("flood", Labels::BROADCAST, &more)?.add(1);
            }
            let another = Counter::open("another", Labels::empty(), &[]);
            expect_overloaded("a series more", another)?;
        }
        "million" => {
            for n in 0..1_000_000 {
                let timing = Timing {
                    decode_time: info.decode_time + n,
                    composition_offset: 0,
                    duration: 1,
                    marks: Marks::empty(),
                };
                output.write(info.group, &[Coded { timing, data: vec![0] }], None)?;
            }
        }
        "large" => {
            let timing = fragment.samples()[0].timing;
            let data = vec![0; 30 << 20];
            expect_overloaded("30 MB", output.write(info.group, &[Coded { timing, data }], None))?;
        }
        "equal-times" => {
            output.emit(fragment)?;
            return expect_invalid("the same time again", output.emit(fragment));
        }
        "falling-times" => {
            output.emit(fragment)?;
            let mut timing = fragment.samples()[0].timing;
            timing.decode_time -= 1;
            let coded = Coded { timing, data: vec![0] };
            return expect_invalid("an earlier time", output.write(info.group, &[coded], None));
        }
        "bulk" => {
            let mut held = vec![0u8; 32 << 20];
            loop {
                held.fill(std::hint::black_box(1));
            }
        }
        "bulk-trap" => {
            let end = core::arch::wasm32::memory_size::<0>() * (64 << 10);
            let near = (end - 4096) as *mut u8;
            // Past the end of memory: the fill traps in its midst.
            unsafe { core::ptr::write_bytes(near, std::hint::black_box(1), std::hint::black_box(1 << 20)) };
        }
        "recycled" => {
            std::mem::forget(allocate(32, 0xaa));
            trap();
        }
        // Nearly all that a call may take.
        "busy" => {
            let mut sum = 0u64;
            for n in 0..std::hint::black_box(20_000_000u64) {
                sum = sum.wrapping_mul(31).wrapping_add(n);
            }
            std::hint::black_box(sum);
        }
        "bad-arguments" => bad_arguments(fragment, track, output)?,
        "event" => return output.emit(&fragment.with_event(&event(info.presentation_time, info.object as u32))?),
        "no-event" => {
            let with = fragment.with_event(&event(info.presentation_time, 1))?;
            let events = with.events();
            let same = events.len() == 1 && events[0].message == b"hello" && events[0].duration == Some(9000);
            if !same || !with.without_events("urn:test")?.events().is_empty() {
                return Err(Error::Failed("events are not what they were".into()));
            }
            return output.emit(&with.without_events("urn:test")?);
        }
        "insert" => return output.emit(&fragment.insert(0, 4, b"inserted")?),
        "replace" => {
            let data: Vec<_> = fragment.samples().iter().map(|_| b"other".to_vec()).collect();
            return output.emit(&fragment.with_samples(&data)?);
        }
        "write" => {
            let coded: Result<Vec<Coded>, Error> = fragment
                .samples()
                .into_iter()
                .map(|s| Ok(Coded { timing: s.timing, data: fragment.read(s.offset, s.size)? }))
                .collect();
            return output.write(info.group, &coded?, Some(1_000_000));
        }
        "write-chunk" => {
            let sample = fragment.samples()[0];
            let data = fragment.read(sample.offset, sample.size)?;
            let keyframe = sample.timing.marks.contains(Marks::KEYFRAME);
            let chunk = chunk::chunk(info.decode_time as u64, sample.timing.duration, keyframe, &data);
            return output.write_chunk(info.group, &chunk);
        }
        "count" => {
            Counter::open("fragments", Labels::BROADCAST | Labels::TRACK, &[])?.add(1);
            Histogram::open("bytes", Labels::empty(), &[], &[1000.0, 10_000.0])?.observe(f64::from(info.size));
            let gauge = Gauge::open("size", Labels::BROADCAST, &[])?;
            gauge.set(f64::from(info.size));
            GAUGE.set(Some(gauge));
            let alarm = Alarm::open("counting")?;
            alarm.raise("it counts");
            ALARM.set(Some(alarm));
        }
        "bitrate" if FRAGMENTS.get() == 40 => {
            if track.bitrate().is_none_or(|bitrate| bitrate.abs_diff(1000 * 8 * 30) > 1000) {
                return Err(Error::Failed(format!("{:?} bits a second", track.bitrate())));
            }
        }
        "unrolled" => raw::unrolled(),
        other if other.starts_with("raw-") => raw::work(other),
        other if other.starts_with("wasi-") => wasi::work(other)?,
        _ => {}
    }
    output.emit(fragment)
}

export!(Misbehave);
