//! Writes every track of the source again, unchanged, as `<track>-copy`. Copies no media: the host passes the fragments on.

wit_bindgen::generate!({ path: "../../wit", world: "transcoder-plugin", generate_all });

use std::cell::OnceCell;

use exports::millrace::plugin::transcoder::{Decision, Descriptor, Guest, Reason, Scope};
use millrace::plugin::codec::Rendition;
use millrace::plugin::media::{Fragment, Track};
use millrace::plugin::output::OutputTrack;
use millrace::plugin::types::{Error, TrackKind};

thread_local! {
    /// Where the copy goes. An instance works on one track only, so that one is enough.
    static OUTPUT: OnceCell<OutputTrack> = const { OnceCell::new() };
}

struct Passthrough;

impl Guest for Passthrough {
    fn describe(_settings: String) -> Result<Descriptor, Error> {
        Ok(Descriptor {
            name: "passthrough".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Writes every track again, unchanged".into(),
            kinds: vec![TrackKind::Video, TrackKind::Audio, TrackKind::Data],
            scope: Scope::PerTrack,
        })
    }

    fn start(track: Track, _: Option<Rendition>, _settings: String, _why: Reason) -> Result<Decision, Error> {
        // An instance that follows one lost to a fault opens the same track again.
        let output = OutputTrack::like_source(&format!("{}-copy", track.name()))?;
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

export!(Passthrough);
