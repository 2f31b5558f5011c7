//! Gives every rendition sound of its own: the source's, unchanged, as `<rendition>-<track>`. Copies no media.

wit_bindgen::generate!({ path: "../../wit", world: "transcoder-plugin", generate_all });

use std::cell::OnceCell;

use exports::millrace::plugin::transcoder::{Decision, Descriptor, Guest, Reason, Scope};
use millrace::plugin::codec::Rendition;
use millrace::plugin::media::{Fragment, Track};
use millrace::plugin::output::OutputTrack;
use millrace::plugin::types::{Error, TrackKind};

thread_local! {
    /// Where the sound goes. An instance works for one rendition of one track only, so that one is enough.
    static OUTPUT: OnceCell<OutputTrack> = const { OnceCell::new() };
}

struct AudioPassthrough;

impl Guest for AudioPassthrough {
    fn describe(_settings: String) -> Result<Descriptor, Error> {
        Ok(Descriptor {
            name: "audio-passthrough".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Gives every rendition the source's sound, unchanged".into(),
            kinds: vec![TrackKind::Audio],
            scope: Scope::PerRendition,
        })
    }

    fn start(track: Track, rendition: Option<Rendition>, _settings: String, _why: Reason) -> Result<Decision, Error> {
        let Some(rendition) = rendition else { return Ok(Decision::Decline) };
        let output = OutputTrack::like_source(&format!("{}-{}", rendition.name(), track.name()))?;
        OUTPUT.with(|cell| cell.set(output)).map_err(|_| Error::Failed("started twice".into()))?;
        Ok(Decision::Accept)
    }

    fn on_fragment(fragment: &Fragment) -> Result<(), Error> {
        OUTPUT.with(|cell| cell.get().ok_or(Error::Closed)?.emit(fragment))
    }

    fn on_gap(_next: u64, _skipped: u64) -> Result<(), Error> {
        Ok(())
    }

    fn stop() -> Result<(), Error> {
        Ok(())
    }
}

export!(AudioPassthrough);
