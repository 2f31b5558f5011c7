//! Raises the alarm `stalled` while no fragment of a video track comes, and answers messages about it.
//!
//! Nobody calls a plugin whose source is silent. So it asks for a call at a time of its own (`timers`), looks then whether a fragment has come,
//! and asks for the next. A message is `status` or `reset`; the reply is JSON.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package example:stalls;
        world stalls {
            include millrace:plugin/transcoder-plugin@0.2.1;
            include millrace:plugin/uses-timers@0.2.1;
            include millrace:plugin/takes-messages@0.2.1;
        }
    ",
    generate_all,
});

use std::cell::RefCell;

use exports::millrace::plugin::transcoder::{self, Decision};
use exports::millrace::plugin::{about, messages, wake};
use millrace::plugin::media::{Context, Description, Fragment, Loss, Track};
use millrace::plugin::metrics::Alarm;
use millrace::plugin::timers;
use millrace::plugin::types::{Error, TrackKind};
use serde_json::{Value, json};

/// What an instance knows of its track.
struct Watch {
    /// A source that sends nothing for so long has stalled. In milliseconds.
    after: u32,
    fragments: u64,
    /// `fragments` when it was looked last.
    fragments_before: u64,
    stalls: u64,
    stalled: bool,
    alarm: Alarm,
}

thread_local! {
    /// Set by `start`.
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// Does something with the watch of the instance.
fn with<T>(work: impl FnOnce(&mut Watch) -> Result<T, Error>) -> Result<T, Error> {
    WATCH.with_borrow_mut(|watch| work(watch.as_mut().ok_or(Error::Closed)?))
}

/// `stall_ms` of the settings: 100 to 600000, 2000 where it is not given.
fn parse(settings: &str) -> Result<u32, Error> {
    let settings: Value = serde_json::from_str(settings).map_err(|error| Error::Invalid(error.to_string()))?;
    match &settings["stall_ms"] {
        Value::Null => Ok(2000),
        given => given
            .as_u64()
            .and_then(|given| u32::try_from(given).ok())
            .filter(|given| (100..=600_000).contains(given))
            .ok_or_else(|| Error::Invalid(format!("`stall_ms` is {given}, expected 100 to 600000"))),
    }
}

struct Stalls;

impl about::Guest for Stalls {
    fn describe(settings: String, about: &Description) -> Result<(), Error> {
        parse(&settings)?;
        about.want("transcoder", TrackKind::Video)?;
        about.set_summary("Raises an alarm while a source sends nothing")
    }
}

impl transcoder::Guest for Stalls {
    fn start(context: &Context) -> Result<(), Error> {
        let after = parse(&context.settings())?;
        let alarm = Alarm::open("stalled")?;
        WATCH.set(Some(Watch { after, fragments: 0, fragments_before: 0, stalls: 0, stalled: false, alarm }));
        // Without the grant `timers` this is an error, which the log shows.
        timers::wake_after(after).map(drop)
    }

    fn on_track(_track: Track) -> Result<Decision, Error> {
        Ok(Decision::Accept)
    }

    fn on_fragment(_fragment: &Fragment) -> Result<(), Error> {
        with(|watch| {
            watch.fragments += 1;
            if watch.stalled {
                watch.stalled = false;
                watch.alarm.clear();
            }
            Ok(())
        })
    }

    fn on_gap(_loss: &Loss) -> Result<(), Error> {
        Ok(())
    }

    fn on_track_end(_track: u32, _why: String) -> Result<(), Error> {
        Ok(())
    }

    fn stop(_why: String) -> Result<(), Error> {
        Ok(())
    }
}

impl wake::Guest for Stalls {
    fn on_wake(_ticket: u64) -> Result<(), Error> {
        with(|watch| {
            if watch.fragments == watch.fragments_before && !watch.stalled {
                watch.stalled = true;
                watch.stalls += 1;
                watch.alarm.raise(&format!("nothing has come for {} ms", watch.after));
            }
            watch.fragments_before = watch.fragments;
            timers::wake_after(watch.after).map(drop)
        })
    }
}

impl messages::Guest for Stalls {
    fn on_message(message: Vec<u8>) -> Result<Vec<u8>, Error> {
        with(|watch| {
            match &message[..] {
                b"status" => {}
                b"reset" => watch.stalls = 0,
                _ => return Err(Error::Invalid("unknown message (expected status or reset)".into())),
            }
            let status = json!({ "fragments": watch.fragments, "stalls": watch.stalls, "stalled": watch.stalled });
            Ok(status.to_string().into_bytes())
        })
    }
}

export!(Stalls);
