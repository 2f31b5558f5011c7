//! A plugin that does what its settings say, mostly what a plugin should not: `{"do": "loop"}`. Otherwise it writes the track again, as
//! `<track>-<what it does>`.

wit_bindgen::generate!({ path: "../../../../../wit", world: "transcoder-plugin", generate_all });

use std::cell::{Cell, RefCell};

use exports::millrace::plugin::transcoder::{Decision, Descriptor, Guest, Reason, Scope};
use millrace::plugin::codec::{Rendition, VideoEncoder, VideoSettings};
use millrace::plugin::host::{self, Counter, Gauge, Level};
use millrace::plugin::media::{Event, Fragment, Marks, Timing, Track};
use millrace::plugin::output::{Coded, OutputTrack};
use millrace::plugin::types::{Error, TrackKind};

thread_local! {
    static WHAT: RefCell<String> = const { RefCell::new(String::new()) };
    static OUTPUT: RefCell<Option<OutputTrack>> = const { RefCell::new(None) };
    static KEPT: RefCell<Vec<Fragment>> = const { RefCell::new(Vec::new()) };
    static GAUGE: RefCell<Option<Gauge>> = const { RefCell::new(None) };
    static ENCODER: RefCell<Option<VideoEncoder>> = const { RefCell::new(None) };
    static FRAGMENTS: Cell<u32> = const { Cell::new(0) };
}

struct Misbehave;

/// The value of the first key.
fn what(settings: &str) -> &str {
    settings.split('"').nth(3).unwrap_or("nothing")
}

fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

fn spin() -> ! {
    loop {
        std::hint::black_box(());
    }
}

/// So many mebibytes.
fn allocate(mebibytes: usize) {
    let held: Vec<_> = (0..mebibytes).map(|_| vec![1u8; 1 << 20]).collect();
    std::hint::black_box(held);
}

fn expect_invalid<T>(what: &str, given: Result<T, Error>) -> Result<(), Error> {
    match given {
        Err(Error::Invalid(_)) => Ok(()),
        Err(other) => Err(Error::Failed(format!("{what}: {other:?}"))),
        Ok(_) => Err(Error::Failed(format!("{what} was taken"))),
    }
}

fn bad_arguments(fragment: &Fragment) -> Result<(), Error> {
    let size = fragment.info().size;
    expect_invalid("a read past the end", fragment.read(size, 1))?;
    expect_invalid("a read that overflows", fragment.read(u32::MAX, u32::MAX))?;
    expect_invalid("an empty name", OutputTrack::like_source(""))?;
    expect_invalid("a name with a slash", OutputTrack::like_source("a/b"))?;
    expect_invalid("a name that is too long", OutputTrack::like_source(&"a".repeat(65)))?;
    expect_invalid("the source's name", OutputTrack::like_source("video"))?;
    expect_invalid("a header that is none", OutputTrack::from_init("mine", b"not MP4"))?;
    expect_invalid("a metric of no name", Counter::open(""))?;
    expect_invalid("an odd size", VideoSettings::new("h264", 3, 4))?;
    let before_zero = Event {
        scheme_id_uri: "urn:test".into(),
        value: String::new(),
        id: 0,
        presentation_time: -1,
        duration: None,
        message: vec![],
    };
    expect_invalid("an event before zero", fragment.with_event(&before_zero))?;
    OUTPUT.with_borrow(|output| {
        let output = output.as_ref().ok_or(Error::Closed)?;
        expect_invalid("a fragment of nothing", output.write(fragment.info().group, &[]))?;
        let timing = Timing { decode_time: 0, composition_offset: 0, duration: 0, marks: Marks::empty() };
        expect_invalid("an unknown group", output.write(u64::MAX, &[Coded { timing, data: vec![0] }]))
    })?;
    match VideoSettings::new("theora", 640, 480) {
        Err(Error::Unsupported(_)) => Ok(()),
        other => Err(Error::Failed(format!("{other:?}"))),
    }
}

impl Guest for Misbehave {
    fn describe(settings: String) -> Result<Descriptor, Error> {
        let what = what(&settings);
        match what {
            "trap-at-describe" => trap(),
            "loop-at-describe" => spin(),
            "allocate-at-describe" => allocate(4096),
            "refuse" => return Err(Error::Invalid("the key `do` says refuse".into())),
            "open-at-describe" => drop(OutputTrack::like_source("early")?),
            _ => {}
        }
        Ok(Descriptor {
            name: if what == "bad-name" { "no name".into() } else { "misbehave".into() },
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Does what it should not".into(),
            kinds: vec![TrackKind::Video],
            scope: if what == "encode" { Scope::PerRendition } else { Scope::PerTrack },
        })
    }

    fn start(track: Track, rendition: Option<Rendition>, settings: String, why: Reason) -> Result<Decision, Error> {
        let what = what(&settings);
        match what {
            "trap-at-start" => trap(),
            "loop-at-start" => spin(),
            "decline" => return Ok(Decision::Decline),
            "encode" => {
                let rendition = rendition.ok_or(Error::Closed)?;
                let settings = rendition.video().ok_or(Error::Closed)?;
                settings.set_speed("draft")?;
                ENCODER.set(Some(VideoEncoder::open(&rendition.name(), &settings)?));
            }
            // Says why it was started, for a test to read.
            "trap-every-third" => drop(OutputTrack::like_source(&format!("why-{why:?}").replace("Reason::", ""))?),
            _ => {}
        }
        let output = OutputTrack::like_source(&format!("{}-{what}", track.name()))?;
        OUTPUT.set(Some(output));
        WHAT.set(what.to_owned());
        Ok(Decision::Accept)
    }

    fn on_fragment(fragment: &Fragment) -> Result<(), Error> {
        FRAGMENTS.set(FRAGMENTS.get() + 1);
        let (what, info) = (WHAT.with_borrow(String::clone), fragment.info());
        let output = |work: &dyn Fn(&OutputTrack) -> Result<(), Error>| {
            OUTPUT.with_borrow(|output| work(output.as_ref().ok_or(Error::Closed)?))
        };
        match what.as_str() {
            "trap-every-third" if FRAGMENTS.get() == 3 => trap(),
            "loop" => spin(),
            "allocate" => allocate(4096),
            "encode" if FRAGMENTS.get() == 13 => trap(),
            "encode" => return ENCODER.with_borrow(|encoder| encoder.as_ref().ok_or(Error::Closed)?.submit(fragment)),
            "error" => return Err(Error::Failed("on purpose\nand on two lines".into())),
            "keep" => loop {
                let kept = fragment.share()?;
                KEPT.with_borrow_mut(|all| all.push(kept));
            },
            "flood" => return (0..20).try_for_each(|_| output(&|track| track.emit(fragment))),
            "log" => (0..1000).for_each(|_| host::log(Level::Warn, &"flood\n".repeat(1000))),
            "bad-arguments" => bad_arguments(fragment)?,
            "event" => {
                let event = Event {
                    scheme_id_uri: "urn:test".into(),
                    value: "1".into(),
                    id: info.object as u32,
                    presentation_time: info.presentation_time,
                    duration: Some(9000),
                    message: b"hello".to_vec(),
                };
                return output(&|track| track.emit(&fragment.with_event(&event)?));
            }
            "write" => {
                let coded: Result<Vec<Coded>, Error> = fragment
                    .samples()
                    .into_iter()
                    .map(|s| Ok(Coded { timing: s.timing, data: fragment.read(s.offset, s.size)? }))
                    .collect();
                let coded = coded?;
                return output(&|track| track.write(info.group, &coded));
            }
            "count" => {
                Counter::open("fragments")?.add(1);
                let gauge = Gauge::open("size")?;
                gauge.set(f64::from(info.size));
                GAUGE.set(Some(gauge));
            }
            _ => {}
        }
        output(&|track| track.emit(fragment))
    }

    fn on_gap(_next: u64, _skipped: u64) -> Result<(), Error> {
        Ok(())
    }

    fn stop() -> Result<(), Error> {
        match WHAT.take().as_str() {
            "trap-at-stop" => trap(),
            "error-at-stop" => Err(Error::Failed("on purpose".into())),
            _ => Ok(()),
        }
    }
}

export!(Misbehave);
