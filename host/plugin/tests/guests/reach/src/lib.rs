//! A plugin that does what it is told in messages, with everything that can be granted. It writes each track again, as `<track>-again`.
//!
//! A message is a word and what it is about, with spaces between them: `set key value`. The reply is text.

wit_bindgen::generate!({
    path: "../../../../../wit",
    inline: "
        package test:reach;
        world reach {
          include millrace:plugin/transcoder-plugin@0.2.1;
          include millrace:plugin/uses-http@0.2.1;
          include millrace:plugin/uses-timers@0.2.1;
          include millrace:plugin/uses-clock@0.2.1;
          include millrace:plugin/uses-store@0.2.1;
          include millrace:plugin/takes-messages@0.2.1;
        }
    ",
    world: "test:reach/reach",
    generate_all,
});

use std::cell::RefCell;
use std::collections::HashMap;

use exports::millrace::plugin::{about, messages, transcoder, wake};
use millrace::plugin::http::{self, Pending, Response};
use millrace::plugin::media::{Context, Decision, Description, Fragment, Loss, Track};
use millrace::plugin::output::OutputTrack;
use millrace::plugin::types::{Error, TrackKind};
use millrace::plugin::{clock, store, timers};

#[derive(Default)]
struct Held {
    outputs: HashMap<u32, (Track, OutputTrack)>,
    fragments: u64,
    /// The tickets it was woken with, in their order.
    woken: Vec<u64>,
    /// It sets a timer again whenever it is woken. In milliseconds.
    again: Option<u32>,
    pending: Vec<Pending>,
    /// What became of requests.
    answers: Vec<String>,
    /// Answers that are kept.
    responses: Vec<Response>,
}

thread_local! {
    static HELD: RefCell<Held> = RefCell::default();
}

struct Reach;

fn in_words(error: Error) -> String {
    match error {
        Error::Invalid(text) => format!("invalid: {text}"),
        Error::Denied(text) => format!("denied: {text}"),
        Error::Overloaded(text) => format!("overloaded: {text}"),
        Error::Unsupported(text) => format!("unsupported: {text}"),
        Error::Failed(text) => format!("failed: {text}"),
        Error::Closed => "closed".into(),
    }
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}

impl about::Guest for Reach {
    fn describe(settings: String, about: &Description) -> Result<(), Error> {
        for kind in [TrackKind::Video, TrackKind::Audio] {
            about.want("transcoder", kind)?;
        }
        if settings.contains("broadcast") {
            about.set_scope("transcoder", "broadcast")?;
        }
        // Nothing can be asked for before there is an instance to be called.
        if settings.contains("early") {
            timers::wake_after(10)?;
        }
        about.set_summary("does what it is told")
    }
}

impl transcoder::Guest for Reach {
    fn start(context: &Context) -> Result<(), Error> {
        if context.settings().contains("tick") {
            HELD.with_borrow_mut(|held| held.again = Some(10));
            timers::wake_after(10)?;
        }
        Ok(())
    }

    fn on_track(track: Track) -> Result<Decision, Error> {
        let output = OutputTrack::like(&format!("{}-again", track.name()), &track)?;
        HELD.with_borrow_mut(|held| held.outputs.insert(track.id(), (track, output)));
        Ok(Decision::Accept)
    }

    fn on_fragment(fragment: &Fragment) -> Result<(), Error> {
        HELD.with_borrow_mut(|held| {
            held.fragments += 1;
            held.outputs.get(&fragment.track()).map_or(Ok(()), |(_, output)| output.emit(fragment))
        })
    }

    fn on_gap(_: &Loss) -> Result<(), Error> {
        Ok(())
    }

    fn on_track_end(track: u32, _: String) -> Result<(), Error> {
        HELD.with_borrow_mut(|held| held.outputs.remove(&track));
        Ok(())
    }

    fn stop(_: String) -> Result<(), Error> {
        Ok(())
    }
}

impl wake::Guest for Reach {
    fn on_wake(ticket: u64) -> Result<(), Error> {
        HELD.with_borrow_mut(|held| {
            held.woken.push(ticket);
            if let Some(after) = held.again {
                timers::wake_after(after)?;
            }
            let Some(at) = held.pending.iter().position(|pending| pending.ticket() == ticket) else { return Ok(()) };
            let pending = held.pending.remove(at);
            let answer = match pending.poll() {
                Ok(None) => "not there".to_owned(),
                Ok(Some(response)) => {
                    let again = pending.poll().err().map_or("there twice".into(), in_words);
                    let (status, kind) = (response.status(), response.header("Content-TYPE"));
                    let body = response.body();
                    let body = String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned();
                    held.responses.push(response);
                    format!("{status} {} {body} ({again})", kind.unwrap_or_default())
                }
                Err(error) => in_words(error),
            };
            held.answers.push(answer);
            Ok(())
        })
    }
}

impl messages::Guest for Reach {
    fn on_message(message: Vec<u8>) -> Result<Vec<u8>, Error> {
        let message = String::from_utf8_lossy(&message).into_owned();
        let (word, about) = message.split_once(' ').unwrap_or((&message, ""));
        let number = || about.parse::<u64>().map_err(|_| Error::Invalid("no number".into()));
        let reply = match word {
            "echo" => about.to_owned(),
            "big" => return Ok(vec![b'x'; number()? as usize]),
            "fail" => return Err(Error::Invalid("as it was told".into())),
            "trap" => core::arch::wasm32::unreachable(),
            "spin" => loop {
                std::hint::black_box(());
            },
            "fragments" => HELD.with_borrow(|held| held.fragments.to_string()),
            "timer" => timers::wake_after(number()? as u32).map_or_else(in_words, |ticket| ticket.to_string()),
            "timers" => {
                let set = (0..number()?).map_while(|_| timers::wake_after(3_600_000).ok());
                format!(
                    "{} and {}",
                    set.count(),
                    timers::wake_after(3_600_000).map_or_else(in_words, |_| "more".into())
                )
            }
            "cancel" => {
                timers::cancel(number()?);
                String::new()
            }
            "woken" => HELD.with_borrow(|held| list(&held.woken)),
            "clock" => format!("{} {}", clock::now(), clock::monotonic()),
            "send" => {
                let mut parts = about.splitn(3, ' ');
                let (method, url) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                let body = parts.next().unwrap_or_default().as_bytes();
                match http::send(method, url, &[], body) {
                    Ok(pending) => {
                        let ticket = pending.ticket().to_string();
                        HELD.with_borrow_mut(|held| held.pending.push(pending));
                        ticket
                    }
                    Err(error) => in_words(error),
                }
            }
            "drop-requests" => HELD.with_borrow_mut(|held| {
                held.pending.clear();
                String::new()
            }),
            "answers" => HELD.with_borrow(|held| held.answers.join("\n")),
            "set" => {
                let (key, value) = about.split_once(' ').unwrap_or((about, ""));
                store::set(key, value.as_bytes()).map_or_else(in_words, |()| "set".into())
            }
            "get" => match store::get(about) {
                Ok(Some(value)) => format!("got {}", String::from_utf8_lossy(&value)),
                Ok(None) => "nothing".into(),
                Err(error) => in_words(error),
            },
            "delete" => store::delete(about).map_or_else(in_words, |()| "deleted".into()),
            "keys" => store::keys(about).map_or_else(in_words, |keys| list(&keys)),
            // Fills the store with values of so many bytes.
            "fill" => {
                let value = vec![7; number()? as usize];
                let mut keys = 0;
                loop {
                    match store::set(&format!("fill-{keys}"), &value) {
                        Ok(()) => keys += 1,
                        Err(error) => break format!("{keys} {}", in_words(error)),
                    }
                }
            }
            #[cfg(target_os = "wasi")]
            "wasi" => {
                use std::hash::{BuildHasher, RandomState};
                use std::time::{Instant, SystemTime};
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                let begin = Instant::now();
                let ran = (0..1000).any(|_| std::hint::black_box(begin.elapsed().as_nanos() > 0));
                format!("{} {ran} {}", since.map_or(0, |since| since.as_secs()), RandomState::new().hash_one(1))
            }
            other => return Err(Error::Unsupported(format!("unknown word {other}"))),
        };
        Ok(reply.into_bytes())
    }
}

export!(Reach);
