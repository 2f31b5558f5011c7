//! Gives every rendition audio of its own: the source's, unchanged, as `<rendition>-<track>`. Copies no media.

wit_bindgen::generate!({ path: "../../wit", world: "transcoder-plugin", generate_all });

use std::cell::RefCell;

use exports::millrace::plugin::about;
use exports::millrace::plugin::transcoder::{self, Decision};
use millrace::plugin::media::{Context, Description, Fragment, Loss, Rendition, Track};
use millrace::plugin::output::OutputTrack;
use millrace::plugin::types::{Error, TrackKind};

thread_local! {
    /// The rendition that the instance is made for.
    static RENDITION: RefCell<Option<Rendition>> = const { RefCell::new(None) };
    /// Where the audio of the track that was given last goes. An instance has one track at a time.
    static OUTPUT: RefCell<Option<OutputTrack>> = const { RefCell::new(None) };
}

struct AudioPassthrough;

impl about::Guest for AudioPassthrough {
    fn describe(_settings: String, about: &Description) -> Result<(), Error> {
        about.want("transcoder", TrackKind::Audio)?;
        about.set_scope("transcoder", "rendition")?;
        about.set_summary("Gives every rendition the source's audio, unchanged")
    }
}

impl transcoder::Guest for AudioPassthrough {
    fn start(context: &Context) -> Result<(), Error> {
        let rendition = context
            .rendition()
            .ok_or_else(|| Error::Invalid("no rendition to write to: the scope is `rendition`".into()))?;
        RENDITION.set(Some(rendition));
        Ok(())
    }

    fn on_track(track: Track) -> Result<Decision, Error> {
        let name = RENDITION.with_borrow(|rendition| {
            let rendition = rendition.as_ref().ok_or(Error::Closed)?;
            Ok::<_, Error>(format!("{}-{}", rendition.name(), track.name()))
        })?;
        // An instance that follows one lost to a fault opens the same track again.
        OUTPUT.set(Some(OutputTrack::like(&name, &track)?));
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

export!(AudioPassthrough);
