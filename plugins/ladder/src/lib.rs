//! Makes one rendition of the operator's ladder: opens a native encoder for it and submits every fragment, of the pictures and, where the
//! rendition is to have sound of its own, of the sound. Renditions larger than the source are declined.

wit_bindgen::generate!({ path: "../../wit", world: "transcoder-plugin", generate_all });

use std::cell::OnceCell;

use exports::millrace::plugin::transcoder::{Decision, Descriptor, Guest, Reason, Scope};
use millrace::plugin::codec::{AudioEncoder, Rendition, VideoEncoder};
use millrace::plugin::host::{self, Level};
use millrace::plugin::media::{Fragment, Track};
use millrace::plugin::types::{Error, TrackKind};

/// What makes the rendition out of the track.
enum Encoder {
    Pictures(VideoEncoder),
    Sound(AudioEncoder),
}

thread_local! {
    /// The rendition's encoder. An instance works for one rendition of one track only, so that one is enough.
    static ENCODER: OnceCell<Encoder> = const { OnceCell::new() };
}

struct Ladder;

impl Guest for Ladder {
    fn describe(_settings: String) -> Result<Descriptor, Error> {
        Ok(Descriptor {
            name: "ladder".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Makes the renditions of the ladder with native encoders".into(),
            kinds: vec![TrackKind::Video, TrackKind::Audio],
            scope: Scope::PerRendition,
        })
    }

    fn start(track: Track, rendition: Option<Rendition>, _settings: String, _why: Reason) -> Result<Decision, Error> {
        let Some(rendition) = rendition else { return Ok(Decision::Decline) };
        // An instance that follows one lost to a fault finds the encoder running.
        let encoder = match track.kind() {
            TrackKind::Video => pictures(&rendition)?,
            TrackKind::Audio => sound(&track, &rendition)?,
            TrackKind::Data => None,
        };
        let Some(encoder) = encoder else { return Ok(Decision::Decline) };
        ENCODER.with(|cell| cell.set(encoder)).map_err(|_| Error::Failed("started twice".into()))?;
        Ok(Decision::Accept)
    }

    fn on_fragment(fragment: &Fragment) -> Result<(), Error> {
        // What is encoded goes to the encoder's track by itself, as it becomes ready.
        ENCODER.with(|cell| match cell.get().ok_or(Error::Closed)? {
            Encoder::Pictures(encoder) => encoder.submit(fragment),
            Encoder::Sound(encoder) => encoder.submit(fragment),
        })
    }

    fn on_gap(_next: u64, _skipped: u64) -> Result<(), Error> {
        // The next fragment starts a group: the host's decoder and encoder begin again there.
        Ok(())
    }

    fn stop() -> Result<(), Error> {
        Ok(())
    }
}

fn pictures(rendition: &Rendition) -> Result<Option<Encoder>, Error> {
    let Some(settings) = rendition.video() else {
        host::log(Level::Debug, "larger than the source: declined");
        return Ok(None);
    };
    Ok(Some(Encoder::Pictures(VideoEncoder::open(&rendition.name(), &settings)?)))
}

/// The rendition's name is its pictures'; a source may have sound in several languages.
fn sound(track: &Track, rendition: &Rendition) -> Result<Option<Encoder>, Error> {
    let Some(settings) = rendition.audio() else { return Ok(None) };
    let name = format!("{}-{}", rendition.name(), track.name());
    match AudioEncoder::open(&name, &settings) {
        Ok(encoder) => Ok(Some(Encoder::Sound(encoder))),
        // No other attempt would go better, and the source's own sound goes with the pictures instead.
        Err(Error::Unsupported(reason)) => {
            host::log(Level::Warn, &format!("the source's sound is kept: {reason}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

export!(Ladder);
