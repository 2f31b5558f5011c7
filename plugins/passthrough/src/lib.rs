//! Writes every track of the source again, unchanged, as `<track>-copy`. Copies no media: the host passes the fragments on.

wit_bindgen::generate!({ path: "../../wit", world: "transcoder-plugin", generate_all });

use std::cell::RefCell;

use exports::millrace::plugin::about;
use exports::millrace::plugin::transcoder::{self, Decision};
use millrace::plugin::media::{Context, Description, Fragment, Loss, Track};
use millrace::plugin::output::OutputTrack;
use millrace::plugin::types::{Error, TrackKind};

thread_local! {
    /// Where the copy of the track that was given last goes. An instance has one track at a time.
    static OUTPUT: RefCell<Option<OutputTrack>> = const { RefCell::new(None) };
}

struct Passthrough;

impl about::Guest for Passthrough {
    fn describe(_settings: String, about: &Description) -> Result<(), Error> {
        for kind in [TrackKind::Video, TrackKind::Audio, TrackKind::Text, TrackKind::Image, TrackKind::Data] {
            about.want("transcoder", kind)?;
        }
        about.set_scope("transcoder", "track")?;
        about.set_summary("Writes every track again, unchanged")
    }
}

impl transcoder::Guest for Passthrough {
    fn start(_context: &Context) -> Result<(), Error> {
        Ok(())
    }

    fn on_track(track: Track) -> Result<Decision, Error> {
        // An instance that follows one lost to a fault opens the same track again.
        let output = OutputTrack::like(&format!("{}-copy", track.name()), &track)?;
        OUTPUT.set(Some(output));
        Ok(Decision::Accept)
    }

    fn on_fragment(fragment: &Fragment) -> Result<(), Error> {
        OUTPUT.with_borrow(|output| output.as_ref().ok_or(Error::Closed)?.emit(fragment))
    }

    fn on_gap(_loss: &Loss) -> Result<(), Error> {
        Ok(())
    }

    fn on_track_end(_track: u32, _why: String) -> Result<(), Error> {
        OUTPUT.set(None);
        Ok(())
    }

    fn stop(_why: String) -> Result<(), Error> {
        Ok(())
    }
}

export!(Passthrough);
