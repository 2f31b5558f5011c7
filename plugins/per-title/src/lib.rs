//! Chooses the rungs of each broadcast from what its source and its encoders show, within the operator's ladder: easy content gets fewer
//! rungs and fewer bits, hard content what the ladder allows.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`settings`] | reads the operator's part of the configuration |
//! | [`choice`] | which rungs, and with how many bits a second |
//! | [`feedback`] | how a rung's bitrate follows what its encoder makes |
//! | [`title`] | one video track: first measured, then encoded |

wit_bindgen::generate!({ path: "../../wit", world: "transcoder-plugin", generate_all });

mod choice;
mod feedback;
mod settings;
mod title;

use std::cell::RefCell;
use std::collections::HashMap;

use exports::millrace::plugin::about;
use exports::millrace::plugin::transcoder::{self, Decision};
use millrace::plugin::codec::{AudioEncoder, AudioSettings};
use millrace::plugin::log::{self, Level};
use millrace::plugin::media::{Context, Description, Fragment, Loss, Rendition, Track};
use millrace::plugin::types::{Error, TrackKind};
use settings::Settings;
use title::Title;

/// What an instance has, which is one for a broadcast.
struct Broadcast {
    settings: Settings,
    /// The operator's ladder, from the top down.
    ladder: Vec<Rendition>,
    titles: HashMap<u32, Title>,
    audio: HashMap<u32, Audio>,
}

/// An audio track, and its encoders by the rungs that they are for.
struct Audio {
    track: Track,
    encoders: Vec<(String, Option<AudioEncoder>)>,
}

thread_local! {
    static BROADCAST: RefCell<Option<Broadcast>> = const { RefCell::new(None) };
}

fn with<T>(work: impl FnOnce(&mut Broadcast) -> Result<T, Error>) -> Result<T, Error> {
    BROADCAST.with_borrow_mut(|broadcast| work(broadcast.as_mut().ok_or(Error::Closed)?))
}

struct PerTitle;

impl about::Guest for PerTitle {
    fn describe(settings: String, about: &Description) -> Result<(), Error> {
        Settings::parse(&settings).map_err(Error::Invalid)?;
        about.want("transcoder", TrackKind::Video)?;
        about.want("transcoder", TrackKind::Audio)?;
        about.set_scope("transcoder", "broadcast")?;
        about.set_summary("Chooses the rungs of each broadcast from its content, within the operator's ladder")
    }
}

impl transcoder::Guest for PerTitle {
    fn start(context: &Context) -> Result<(), Error> {
        let settings = Settings::parse(&context.settings()).map_err(Error::Invalid)?;
        let (titles, audio) = (HashMap::new(), HashMap::new());
        BROADCAST.set(Some(Broadcast { settings, ladder: context.renditions(), titles, audio }));
        Ok(())
    }

    fn on_track(track: Track) -> Result<Decision, Error> {
        with(|broadcast| {
            if broadcast.ladder.is_empty() {
                return Ok(Decision::Decline);
            }
            let id = track.id();
            match track.kind() {
                TrackKind::Video => {
                    broadcast.titles.insert(id, Title::new(track));
                }
                TrackKind::Audio => {
                    broadcast.audio.insert(id, Audio { track, encoders: Vec::new() });
                }
                TrackKind::Text | TrackKind::Image | TrackKind::Data => return Ok(Decision::Decline),
            }
            Ok(Decision::Accept)
        })
    }

    fn on_fragment(fragment: &Fragment) -> Result<(), Error> {
        with(|broadcast| {
            let Broadcast { settings, ladder, titles, audio } = broadcast;
            if let Some(title) = titles.get_mut(&fragment.track()) {
                return title.fragment(fragment, settings, ladder);
            }
            let Some(audio) = audio.get_mut(&fragment.track()) else { return Ok(()) };
            // Rungs get audio of their own, where the ladder says so, once they are chosen.
            for name in titles.values().flat_map(Title::rungs) {
                audio.follow(name, ladder)?;
            }
            audio.encoders.iter().filter_map(|(_, encoder)| encoder.as_ref()).try_for_each(|to| to.submit(fragment))
        })
    }

    fn on_gap(loss: &Loss) -> Result<(), Error> {
        with(|broadcast| {
            if let Some(title) = broadcast.titles.get_mut(&loss.track()) {
                title.gap();
            }
            Ok(())
        })
    }

    fn on_track_end(track: u32, _why: String) -> Result<(), Error> {
        with(|broadcast| {
            broadcast.titles.remove(&track);
            broadcast.audio.remove(&track);
            Ok(())
        })
    }

    fn stop(_why: String) -> Result<(), Error> {
        BROADCAST.set(None);
        Ok(())
    }
}

impl Audio {
    /// Opens the encoder for a rung, once.
    fn follow(&mut self, rung: &str, ladder: &[Rendition]) -> Result<(), Error> {
        if self.encoders.iter().any(|(known, _)| known == rung) {
            return Ok(());
        }
        let rendition = ladder.iter().find(|rendition| rendition.name() == rung);
        let settings = rendition.and_then(|rendition| AudioSettings::of(rendition, &self.track));
        let encoder = match settings {
            None => None,
            Some(settings) => {
                let name = format!("{rung}-{}", self.track.name());
                match AudioEncoder::open(&name, &self.track, &settings) {
                    Ok(encoder) => Some(encoder),
                    // Another attempt would fail too. The source's own audio goes with the video instead.
                    Err(Error::Unsupported(reason)) => {
                        log::write(Level::Warn, &format!("the source's audio is kept: {reason}"));
                        None
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        self.encoders.push((rung.to_owned(), encoder));
        Ok(())
    }
}

export!(PerTitle);
