//! A filter that does what its settings say, mostly what a filter should not: `{"do": "loop"}`. `{"scope": "broadcast"}` gives it all tracks.

wit_bindgen::generate!({ path: "../../../../../wit", world: "filter-plugin", generate_all });

use std::cell::{Cell, RefCell};

use exports::millrace::plugin::{about, filter};
use millrace::plugin::log::{self, Level};
use millrace::plugin::media::{Context, Decision, Description, Event, Fragment, Loss, Marks, Track, Verdict};
use millrace::plugin::state::Slot;
use millrace::plugin::types::{Error, TrackKind};

thread_local! {
    static WHAT: RefCell<String> = const { RefCell::new(String::new()) };
    static FRAGMENTS: Cell<u64> = const { Cell::new(0) };
    static RANDOM: Cell<u32> = const { Cell::new(1) };
    static KEPT: RefCell<Option<Fragment>> = const { RefCell::new(None) };
    static TOLD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Filter;

/// The value of a key.
fn setting<'a>(settings: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = settings.split_once(&format!("\"{key}\":\""))?;
    rest.split('"').next()
}

/// Its name is looked for in what the host says.
#[inline(never)]
fn trap() -> ! {
    #[cfg(not(target_os = "wasi"))]
    core::arch::wasm32::unreachable();
    #[cfg(target_os = "wasi")]
    std::process::abort();
}

fn spin() -> ! {
    loop {
        std::hint::black_box(());
    }
}

/// Notes what it was told, for the next fragment to carry.
fn told(line: String) {
    log::write(Level::Info, &line);
    TOLD.with_borrow_mut(|told| told.push(line));
}

fn event(scheme: &str, value: String, fragment: &Fragment) -> Event {
    Event {
        scheme_id_uri: scheme.into(),
        value,
        id: 1,
        presentation_time: fragment.info().presentation_time,
        duration: None,
        message: Vec::new(),
    }
}

fn expect_invalid(what: &str, given: Result<(), Error>) -> Result<(), Error> {
    match given {
        Err(Error::Invalid(_)) => Ok(()),
        other => Err(Error::Failed(format!("{what}: {other:?}"))),
    }
}

impl about::Guest for Filter {
    fn describe(settings: String, about: &Description) -> Result<(), Error> {
        about.want("filter", TrackKind::Video)?;
        if setting(&settings, "do") != Some("video-alone") {
            about.want("filter", TrackKind::Audio)?;
        }
        about.set_scope("filter", setting(&settings, "scope").unwrap_or("track"))?;
        about.set_summary("Does what it is told")
    }
}

impl filter::Guest for Filter {
    fn start(context: &Context) -> Result<(), Error> {
        let what = setting(&context.settings(), "do").unwrap_or("nothing").to_owned();
        told(format!("start: {}", context.reason()));
        match &*what {
            "trap-at-start" => trap(),
            "error-at-start" => return Err(Error::Failed("not today".into())),
            "loop-at-start" => spin(),
            // The first one is lost, and those that follow it do nothing.
            "loop-once" | "trap-once" if context.reason() != "fresh" => return Ok(()),
            _ => {}
        }
        WHAT.set(what);
        Ok(())
    }

    fn on_track(track: Track) -> Result<Decision, Error> {
        told(format!("track {}: {} {}", track.id(), track.name(), track.codec()));
        WHAT.with_borrow(|what| match &**what {
            "decline" => Ok(Decision::Decline),
            "decline-audio" if track.kind() == TrackKind::Audio => Ok(Decision::Decline),
            _ => Ok(Decision::Accept),
        })
    }

    fn on_fragment(fragment: &Fragment, verdict: &Verdict) -> Result<(), Error> {
        FRAGMENTS.set(FRAGMENTS.get() + 1);
        let info = fragment.info();
        WHAT.with_borrow(|what| match &**what {
            "discard-second" if info.object == 1 => {
                verdict.discard();
                Ok(())
            }
            "discard-all" => {
                verdict.discard();
                Ok(())
            }
            "discard-at-random" => {
                let next = RANDOM.get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                RANDOM.set(next);
                if next >> 29 == 0 {
                    verdict.discard();
                }
                Ok(())
            }
            "discard-first-group" if info.object == 0 && FRAGMENTS.get() == 1 => {
                verdict.discard();
                Ok(())
            }
            // What was said last holds.
            "discard-then-replace" => {
                verdict.discard();
                verdict.replace(fragment.with_event(&event("urn:mark", "last".into(), fragment))?)
            }
            "replace-then-discard" => {
                verdict.replace(fragment.share()?)?;
                verdict.discard();
                Ok(())
            }
            // With an event that says how many it has seen.
            "mark" => {
                let seen = fragment.events().len();
                verdict.replace(fragment.with_event(&event("urn:mark", seen.to_string(), fragment))?)
            }
            "take" => verdict.replace(fragment.without_events("urn:mark")?),
            "double" => {
                let mut doubled = fragment.share()?;
                for event in fragment.events() {
                    doubled = doubled.with_event(&event)?;
                }
                verdict.replace(doubled.with_event(&event("urn:mark", "more".into(), fragment))?)
            }
            "invert" => {
                let inverted = |sample: &millrace::plugin::media::Sample| {
                    let bytes = fragment.read(sample.offset, sample.size)?;
                    Ok(bytes.into_iter().map(|byte| !byte).collect())
                };
                let data = fragment.samples().iter().map(inverted).collect::<Result<Vec<Vec<u8>>, Error>>()?;
                verdict.replace(fragment.with_samples(&data)?)
            }
            // What no decoder takes, in another size each time.
            "broken" => {
                let size = 1 + FRAGMENTS.get() as usize % 100;
                let data: Vec<_> = fragment.samples().iter().map(|_| vec![0xff; size]).collect();
                verdict.replace(fragment.with_samples(&data)?)
            }
            "too-large" => {
                let data: Vec<_> = fragment.samples().iter().map(|_| vec![0; 2 << 20]).collect();
                verdict.replace(fragment.with_samples(&data)?)
            }
            "another-fragment" => {
                let given = match KEPT.replace(Some(fragment.share()?)) {
                    Some(before) => expect_invalid("the fragment before", verdict.replace(before)),
                    None => Ok(()),
                };
                // It is still there to be decided about.
                given.and_then(|()| verdict.replace(fragment.share()?))
            }
            "loop" => spin(),
            "loop-once" if FRAGMENTS.get() == 3 => spin(),
            "trap-once" if FRAGMENTS.get() == 3 => trap(),
            "trap-every-third" if FRAGMENTS.get() == 3 => trap(),
            "error-every-third" if FRAGMENTS.get().is_multiple_of(3) => Err(Error::Failed("not this one".into())),
            "hoard" => {
                let hoarded: Vec<_> = (0..128).map(|_| std::hint::black_box(vec![1u8; 1 << 20])).collect();
                std::mem::forget(hoarded);
                Ok(())
            }
            "sleep" => {
                std::thread::sleep(std::time::Duration::from_secs(60));
                Ok(())
            }
            // Nearly all that a call may take.
            "busy" => {
                let mut sum = 0u64;
                for n in 0..std::hint::black_box(1_000_000u64) {
                    sum = sum.wrapping_mul(31).wrapping_add(n);
                }
                std::hint::black_box(sum);
                Ok(())
            }
            "flood-events" => {
                let mut flooded = fragment.share()?;
                for n in 0..10_000u32 {
                    flooded = flooded.with_event(&event("urn:flood", n.to_string(), fragment))?;
                }
                verdict.replace(flooded)
            }
            "count" => {
                let slot = Slot::open("instance")?;
                let before = slot.load().and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
                slot.save(&(before + 1).to_le_bytes())?;
                if before == 5 {
                    trap();
                }
                verdict.replace(fragment.with_event(&event("urn:count", before.to_string(), fragment))?)
            }
            "diary" | "discard-then-diary" => {
                let place = format!("{} {} {}", fragment.track(), info.object, info.marks.contains(Marks::KEYFRAME));
                let mut lines = TOLD.take();
                lines.push(place);
                verdict.replace(fragment.with_event(&event("urn:diary", lines.join("; "), fragment))?)
            }
            _ => Ok(()),
        })
    }

    fn on_gap(loss: &Loss) -> Result<(), Error> {
        told(format!("gap {}: {} {}", loss.track(), loss.skipped(), loss.cause()));
        Ok(())
    }

    fn on_track_end(track: u32, why: String) -> Result<(), Error> {
        told(format!("end {track}: {why}"));
        Ok(())
    }

    fn stop(why: String) -> Result<(), Error> {
        told(format!("stop: {why}"));
        WHAT.with_borrow(|what| if what == "loop-at-stop" { spin() });
        Ok(())
    }
}

export!(Filter);
