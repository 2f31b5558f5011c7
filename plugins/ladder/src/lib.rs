//! Makes one rendition of the operator's ladder. It opens a native encoder for the rendition and submits every fragment of the video to it,
//! and of the audio where the rendition has audio of its own. Renditions larger than the source are declined.

wit_bindgen::generate!({ path: "../../wit", world: "transcoder-plugin", generate_all });

use std::cell::RefCell;

use exports::millrace::plugin::about;
use exports::millrace::plugin::transcoder::{self, Decision};
use millrace::plugin::codec::{AudioEncoder, AudioSettings, VideoEncoder, VideoSettings};
use millrace::plugin::log::{self, Level};
use millrace::plugin::media::{Context, Description, Fragment, Loss, Rendition, Track};
use millrace::plugin::types::{Error, TrackKind};

/// The native encoder of the rendition's track.
enum Encoder {
    Video(VideoEncoder),
    Audio(AudioEncoder),
}

thread_local! {
    /// The rendition that the instance is made for.
    static RENDITION: RefCell<Option<Rendition>> = const { RefCell::new(None) };
    /// The encoder of the track that was given last. An instance has one track at a time.
    static ENCODER: RefCell<Option<Encoder>> = const { RefCell::new(None) };
}

struct Ladder;

impl about::Guest for Ladder {
    fn describe(_settings: String, about: &Description) -> Result<(), Error> {
        about.want("transcoder", TrackKind::Video)?;
        about.want("transcoder", TrackKind::Audio)?;
        about.set_scope("transcoder", "rendition")?;
        about.set_summary("Makes the renditions of the ladder with native encoders")
    }
}

impl transcoder::Guest for Ladder {
    fn start(context: &Context) -> Result<(), Error> {
        let rendition = context
            .rendition()
            .ok_or_else(|| Error::Invalid("no rendition to make: the scope is `rendition`".into()))?;
        RENDITION.set(Some(rendition));
        Ok(())
    }

    fn on_track(track: Track) -> Result<Decision, Error> {
        // The handle of a track that has changed goes first, so that it never counts beside the next one's.
        ENCODER.set(None);
        let encoder = RENDITION.with_borrow(|rendition| {
            let rendition = rendition.as_ref().ok_or(Error::Closed)?;
            match track.kind() {
                TrackKind::Video => video(rendition, &track),
                TrackKind::Audio => audio(rendition, &track),
                TrackKind::Text | TrackKind::Image | TrackKind::Data => Ok(None),
            }
        })?;
        let decision = if encoder.is_some() { Decision::Accept } else { Decision::Decline };
        ENCODER.set(encoder);
        Ok(decision)
    }

    fn on_fragment(fragment: &Fragment) -> Result<(), Error> {
        // Encoded frames go to the encoder's own track, as they become ready.
        ENCODER.with_borrow(|encoder| match encoder.as_ref().ok_or(Error::Closed)? {
            Encoder::Video(encoder) => encoder.submit(fragment),
            Encoder::Audio(encoder) => encoder.submit(fragment),
        })
    }

    fn on_gap(_loss: &Loss) -> Result<(), Error> {
        // The next fragment starts a group: the host's decoder and encoder begin again there.
        Ok(())
    }

    fn on_track_end(_track: u32, _why: String) -> Result<(), Error> {
        ENCODER.set(None);
        Ok(())
    }

    fn stop(_why: String) -> Result<(), Error> {
        Ok(())
    }
}

/// Opens the encoder of the rendition's video. An instance that follows one lost to a fault finds the encoder running.
fn video(rendition: &Rendition, track: &Track) -> Result<Option<Encoder>, Error> {
    let Some(settings) = VideoSettings::of(rendition, track) else {
        log::write(Level::Debug, "the rendition is larger than the source: declined");
        return Ok(None);
    };
    VideoEncoder::open(&rendition.name(), track, &settings).map(|encoder| Some(Encoder::Video(encoder)))
}

/// Opens the encoder of the rendition's audio. The name of the rendition is its video's, and a source may have audio in several languages.
fn audio(rendition: &Rendition, track: &Track) -> Result<Option<Encoder>, Error> {
    let Some(settings) = AudioSettings::of(rendition, track) else { return Ok(None) };
    let name = format!("{}-{}", rendition.name(), track.name());
    match AudioEncoder::open(&name, track, &settings) {
        Ok(encoder) => Ok(Some(Encoder::Audio(encoder))),
        // Another attempt would fail too. The source's own audio goes with the video instead.
        Err(Error::Unsupported(reason)) => {
            log::write(Level::Warn, &format!("the source's audio is kept: {reason}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

export!(Ladder);
