//! The plugin, as the host calls it.

wit_bindgen::generate!({
    inline: "
        package millrace:clock;
        world clock {
            include millrace:plugin/filter-plugin@0.2.1;
            include millrace:plugin/uses-clock@0.2.1;
        }
    ",
    path: "../../wit",
    world: "millrace:clock/clock",
    generate_all,
});

use std::cell::RefCell;

use exports::millrace::plugin::about;
use exports::millrace::plugin::filter::{self, Decision};
use millrace::plugin::clock;
use millrace::plugin::media::{Context, Description, Event, Fragment, Loss, Track, Verdict};
use millrace::plugin::types::{Error, TrackKind};

use crate::time::Settings;

thread_local! {
    static SETTINGS: RefCell<Settings> = RefCell::default();
}

struct Plugin;

impl about::Guest for Plugin {
    fn describe(settings: String, about: &Description) -> Result<(), Error> {
        Settings::read(&settings).map_err(Error::Invalid)?;
        about.want("filter", TrackKind::Video)?;
        about.set_scope("filter", "track")?;
        about.set_summary("Writes the time of day as an event where each group begins")
    }
}

impl filter::Guest for Plugin {
    fn start(context: &Context) -> Result<(), Error> {
        SETTINGS.set(Settings::read(&context.settings()).map_err(Error::Invalid)?);
        Ok(())
    }

    fn on_track(_track: Track) -> Result<Decision, Error> {
        Ok(Decision::Accept)
    }

    fn on_fragment(fragment: &Fragment, verdict: &Verdict) -> Result<(), Error> {
        let info = fragment.info();
        if info.object != 0 {
            return Ok(());
        }
        let form = SETTINGS.with_borrow(|settings| settings.form);
        let event = Event {
            scheme_id_uri: form.scheme().into(),
            value: String::new(),
            // Groups count up, so that no two events are alike.
            id: info.group as u32,
            presentation_time: info.presentation_time.max(0),
            duration: None,
            message: form.message(clock::now()),
        };
        verdict.replace(fragment.with_event(&event)?)
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

export!(Plugin);
