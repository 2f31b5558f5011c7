//! Measures the GOPs of each video track, and raises an alarm while they are longer than `max_gop_seconds` of the settings.

wit_bindgen::generate!({ path: "../../../wit", world: "transcoder-plugin", generate_all });

mod gops;
mod settings;

use std::cell::RefCell;

use exports::millrace::plugin::about;
use exports::millrace::plugin::transcoder::{self, Decision};
use millrace::plugin::log::{self, Level};
use millrace::plugin::media::{Context, Description, Fragment, Loss, Track};
use millrace::plugin::types::{Error, TrackKind};

use gops::Gops;
use settings::Settings;

thread_local! {
    /// What the operator asked for. Set by `start`.
    static SETTINGS: RefCell<Option<Settings>> = const { RefCell::new(None) };
    /// The track that is measured. An instance with the scope `track` has one track at a time.
    static GOPS: RefCell<Option<Gops>> = const { RefCell::new(None) };
}

struct GopStats;

impl about::Guest for GopStats {
    fn describe(settings: String, about: &Description) -> Result<(), Error> {
        log_panics();
        // Settings that are refused here never reach an instance.
        Settings::parse(&settings)?;
        about.want("transcoder", TrackKind::Video)?;
        about.set_scope("transcoder", "track")?;
        about.set_summary("Measures GOPs, and raises an alarm while they are too long")
    }
}

impl transcoder::Guest for GopStats {
    fn start(context: &Context) -> Result<(), Error> {
        log_panics();
        let settings = Settings::parse(&context.settings())?;
        let (broadcast, limit) = (context.broadcast(), settings.max_gop_seconds);
        log::write(Level::Info, &format!("watching {broadcast} for GOPs longer than {limit} s"));
        SETTINGS.set(Some(settings));
        Ok(())
    }

    fn on_track(track: Track) -> Result<Decision, Error> {
        let settings = SETTINGS.with_borrow(|settings| settings.clone()).ok_or(Error::Closed)?;
        // A source that has changed comes again: its metrics are opened anew.
        GOPS.set(None);
        GOPS.set(Some(Gops::new(&track, settings)?));
        Ok(Decision::Accept)
    }

    fn on_fragment(fragment: &Fragment) -> Result<(), Error> {
        GOPS.with_borrow_mut(|gops| {
            gops.as_mut().ok_or(Error::Closed)?.add(&fragment.info());
            Ok(())
        })
    }

    fn on_gap(loss: &Loss) -> Result<(), Error> {
        log::write(Level::Debug, &format!("{} fragments are missing: {}", loss.skipped(), loss.cause()));
        GOPS.with_borrow_mut(|gops| {
            if let Some(gops) = gops {
                gops.forget_group();
            }
        });
        Ok(())
    }

    fn on_track_end(_track: u32, _why: String) -> Result<(), Error> {
        // Dropping the handles takes the gauges' values out and clears the alarm.
        GOPS.set(None);
        Ok(())
    }

    fn stop(_why: String) -> Result<(), Error> {
        Ok(())
    }
}

/// Writes the message of a panic to the operator's log. `wasm32-unknown-unknown` has no standard error, so that without this a panic shows
/// as `unreachable` alone.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| log::write(Level::Error, &panic.to_string())));
}

export!(GopStats);
