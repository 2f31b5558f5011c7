//! Makes one rendition of the operator's ladder: opens a native encoder for it and submits every fragment. Renditions larger than the source
//! are declined.

wit_bindgen::generate!({ path: "../../wit", world: "transcoder-plugin", generate_all });

use std::cell::OnceCell;

use exports::millrace::plugin::transcoder::{Decision, Descriptor, Guest, Reason, Scope};
use millrace::plugin::codec::{Rendition, VideoEncoder};
use millrace::plugin::host::{self, Level};
use millrace::plugin::media::{Fragment, Track};
use millrace::plugin::types::{Error, TrackKind};

thread_local! {
    /// The rendition's encoder. An instance works for one rendition of one track only, so that one is enough.
    static ENCODER: OnceCell<VideoEncoder> = const { OnceCell::new() };
}

struct Ladder;

impl Guest for Ladder {
    fn describe(_settings: String) -> Result<Descriptor, Error> {
        Ok(Descriptor {
            name: "ladder".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Makes the renditions of the ladder with native encoders".into(),
            kinds: vec![TrackKind::Video],
            scope: Scope::PerRendition,
        })
    }

    fn start(_track: Track, rendition: Option<Rendition>, _settings: String, _why: Reason) -> Result<Decision, Error> {
        let Some(rendition) = rendition else { return Ok(Decision::Decline) };
        let Some(settings) = rendition.video() else {
            host::log(Level::Debug, "larger than the source: declined");
            return Ok(Decision::Decline);
        };
        // An instance that follows one lost to a fault finds the encoder running.
        let encoder = VideoEncoder::open(&rendition.name(), &settings)?;
        ENCODER.with(|cell| cell.set(encoder)).map_err(|_| Error::Failed("started twice".into()))?;
        Ok(Decision::Accept)
    }

    fn on_fragment(fragment: &Fragment) -> Result<(), Error> {
        // What is encoded goes to the track of that name by itself, as it becomes ready.
        ENCODER.with(|cell| cell.get().ok_or(Error::Closed)?.submit(fragment))
    }

    fn on_gap(_next: u64, _skipped: u64) -> Result<(), Error> {
        // The next fragment starts a group: the host's decoder and encoder begin again there.
        Ok(())
    }

    fn stop() -> Result<(), Error> {
        Ok(())
    }
}

export!(Ladder);
