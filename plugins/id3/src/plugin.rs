//! The plugin, as the host calls it.

wit_bindgen::generate!({
    inline: "
        package millrace:id3;
        world id3 {
            include millrace:plugin/filter-plugin@0.2.1;
            include millrace:plugin/takes-messages@0.2.1;
        }
    ",
    path: "../../wit",
    world: "millrace:id3/id3",
    generate_all,
});

use std::cell::RefCell;

use exports::millrace::plugin::filter::{self, Decision};
use exports::millrace::plugin::{about, messages};
use millrace::plugin::media::{Context, Description, Event, Fragment, Loss, Track, Verdict};
use millrace::plugin::metrics::{Counter, Labels};
use millrace::plugin::types::{Error, TrackKind};

use crate::message;

const ID3: &str = "https://aomedia.org/emsg/ID3";
/// Tags that wait for the next fragment; more are refused.
const MOST: usize = 16;

thread_local! {
    static TAGS: RefCell<Tags> = const { RefCell::new(Tags { carrier: None, waiting: Vec::new(), written: None }) };
}

/// An instance has one broadcast.
struct Tags {
    /// The track that tags are written on, and whether it is video.
    carrier: Option<(u32, bool)>,
    waiting: Vec<Vec<u8>>,
    written: Option<Counter>,
}

struct Plugin;

impl about::Guest for Plugin {
    fn describe(settings: String, about: &Description) -> Result<(), Error> {
        let none = serde_json::from_str::<serde_json::Map<_, serde_json::Value>>(&settings);
        if let Some(key) = none.ok().and_then(|settings| settings.keys().next().cloned()) {
            return Err(Error::Invalid(format!("there is no setting {key}: this plugin has none")));
        }
        about.want("filter", TrackKind::Video)?;
        about.want("filter", TrackKind::Audio)?;
        about.set_scope("filter", "broadcast")?;
        about.set_summary("Writes messages as ID3 tags into the stream")
    }
}

impl filter::Guest for Plugin {
    fn start(_context: &Context) -> Result<(), Error> {
        let written = Counter::open("tags", Labels::BROADCAST, &[])?;
        TAGS.with_borrow_mut(|tags| tags.written = Some(written));
        Ok(())
    }

    fn on_track(track: Track) -> Result<Decision, Error> {
        let is_video = track.kind() == TrackKind::Video;
        TAGS.with_borrow_mut(|tags| {
            let is_better = tags.carrier.is_none_or(|(known, video)| known == track.id() || (is_video && !video));
            if is_better {
                tags.carrier = Some((track.id(), is_video));
            }
        });
        Ok(Decision::Accept)
    }

    fn on_fragment(fragment: &Fragment, verdict: &Verdict) -> Result<(), Error> {
        TAGS.with_borrow_mut(|tags| {
            if tags.waiting.is_empty() || tags.carrier.is_none_or(|(carrier, _)| carrier != fragment.track()) {
                return Ok(());
            }
            let info = fragment.info();
            let mut edited: Option<Fragment> = None;
            for (n, tag) in std::mem::take(&mut tags.waiting).into_iter().enumerate() {
                let event = Event {
                    scheme_id_uri: ID3.into(),
                    value: String::new(),
                    // No two tags have the same, and no time comes twice.
                    id: (info.decode_time as u32).wrapping_add(n as u32),
                    presentation_time: info.presentation_time.max(0),
                    duration: None,
                    message: tag,
                };
                edited = Some(edited.as_ref().unwrap_or(fragment).with_event(&event)?);
                if let Some(written) = &tags.written {
                    written.add(1);
                }
            }
            edited.map_or(Ok(()), |edited| verdict.replace(edited))
        })
    }

    fn on_gap(_loss: &Loss) -> Result<(), Error> {
        Ok(())
    }

    fn on_track_end(track: u32, _why: String) -> Result<(), Error> {
        TAGS.with_borrow_mut(|tags| {
            if tags.carrier.is_some_and(|(carrier, _)| carrier == track) {
                tags.carrier = None;
            }
        });
        Ok(())
    }

    fn stop(_why: String) -> Result<(), Error> {
        Ok(())
    }
}

impl messages::Guest for Plugin {
    fn on_message(message: Vec<u8>) -> Result<Vec<u8>, Error> {
        let tag = message::read(&message).map_err(Error::Invalid)?;
        TAGS.with_borrow_mut(|tags| {
            if tags.waiting.len() == MOST {
                return Err(Error::Overloaded(format!("{MOST} tags wait for media, and may not be more")));
            }
            let answer = format!("{{\"bytes\":{}}}", tag.len());
            tags.waiting.push(tag);
            Ok(answer.into_bytes())
        })
    }
}

export!(Plugin);
