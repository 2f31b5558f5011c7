//! Asks an HTTP service of the operator's who may publish and play. The service is told of the attempt in JSON, and answers in JSON.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`settings`] | reads the operator's part of the configuration |
//! | [`question`] | what the service is told |
//! | [`reply`] | what it answers |

wit_bindgen::generate!({ path: "../../wit", inline: "
    package webhook:access;
    world webhook-access {
        include millrace:plugin/access-plugin@0.2.1;
        include millrace:plugin/uses-http@0.2.1;
    }
", generate_all });

mod question;
mod reply;
mod settings;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};

use exports::millrace::plugin::{about, access, wake};
use millrace::plugin::http::{self, Pending};
use millrace::plugin::log::{self, Level};
use millrace::plugin::media::{Answer, Attempt, Description};
use millrace::plugin::metrics::{Counter, Labels};
use millrace::plugin::types::{Entry, Error};
use reply::Decision;
use settings::{OnError, Settings};

/// So many attempts wait: as many as the host has open. Whoever has waited longer than all of them is not waited for any more.
const MOST_WAITING: usize = 256;

thread_local! {
    static SETTINGS: RefCell<Option<Settings>> = const { RefCell::new(None) };
    /// Attempts that the service has not been asked about yet: the host lets a plugin have only so many requests at a time.
    static WAITING: RefCell<VecDeque<(Attempt, Answer)>> = const { RefCell::new(VecDeque::new()) };
    /// Questions that the service has not answered, by their tickets.
    static OPEN: RefCell<HashMap<u64, (Pending, Answer)>> = RefCell::default();
    static COUNTERS: RefCell<Option<Counters>> = const { RefCell::new(None) };
}

/// What became of the attempts.
struct Counters {
    allowed: Counter,
    denied: Counter,
    failed: Counter,
}

impl Counters {
    fn open() -> Result<Self, Error> {
        let open = |outcome: &str| {
            let entry = Entry { key: "outcome".into(), value: outcome.into() };
            Counter::open("attempts", Labels::empty(), &[entry])
        };
        Ok(Self { allowed: open("allowed")?, denied: open("denied")?, failed: open("failed")? })
    }
}

struct WebhookAccess;

impl about::Guest for WebhookAccess {
    fn describe(settings: String, about: &Description) -> Result<(), Error> {
        about.set_summary("Asks an HTTP service who may publish and play")?;
        Settings::parse(&settings).map(|_| ()).map_err(Error::Invalid)
    }
}

impl access::Guest for WebhookAccess {
    fn authorize(attempt: Attempt, answer: Answer) -> Result<(), Error> {
        SETTINGS.with_borrow_mut(|known| {
            let settings = match known {
                Some(settings) => settings,
                None => known.insert(Settings::parse(&attempt.settings()).map_err(Error::Invalid)?),
            };
            let oldest = WAITING.with_borrow_mut(|waiting| {
                waiting.push_back((attempt, answer));
                if waiting.len() > MOST_WAITING { waiting.pop_front() } else { None }
            });
            if let Some((_, answer)) = oldest {
                give(settings, &answer, Err("too many wait for it".into()))?;
            }
            ask_next(settings)
        })
    }
}

impl wake::Guest for WebhookAccess {
    fn on_wake(ticket: u64) -> Result<(), Error> {
        let Some((pending, answer)) = OPEN.with_borrow_mut(|open| open.remove(&ticket)) else { return Ok(()) };
        let said = match pending.poll() {
            Ok(Some(response)) => reply::decide(response.status(), &response.body()),
            Ok(None) => Err("the answer is not there".into()),
            Err(error) => Err(in_words(&error)),
        };
        // Its place is for another.
        drop(pending);
        SETTINGS.with_borrow(|settings| {
            let settings = settings.as_ref().ok_or(Error::Closed)?;
            give(settings, &answer, said)?;
            ask_next(settings)
        })
    }
}

/// Asks the service about those that wait, as long as there is room for requests.
fn ask_next(settings: &Settings) -> Result<(), Error> {
    while let Some((attempt, answer)) = WAITING.with_borrow_mut(VecDeque::pop_front) {
        match ask(settings, &attempt) {
            Ok(pending) => {
                OPEN.with_borrow_mut(|open| open.insert(pending.ticket(), (pending, answer)));
            }
            // An answer to another makes room.
            Err(Error::Overloaded(_)) if OPEN.with_borrow(|open| !open.is_empty()) => {
                WAITING.with_borrow_mut(|waiting| waiting.push_front((attempt, answer)));
                break;
            }
            Err(error) => give(settings, &answer, Err(in_words(&error)))?,
        }
    }
    Ok(())
}

/// Sends the question.
fn ask(settings: &Settings, attempt: &Attempt) -> Result<Pending, Error> {
    let values = |names: &[String], read: &dyn Fn(&str) -> Option<String>| {
        names.iter().filter_map(|name| Some((name.clone(), read(name)?))).collect()
    };
    let question = question::Question {
        action: attempt.action(),
        broadcast: attempt.broadcast(),
        protocol: attempt.protocol(),
        address: attempt.address(),
        query: values(&settings.query, &|name| attempt.query(name)),
        headers: values(&settings.headers, &|name| attempt.header(name)),
    };
    let mut headers = vec![Entry { key: "content-type".into(), value: "application/json".into() }];
    headers.extend(settings.send.iter().map(|(key, value)| Entry { key: key.clone(), value: value.clone() }));
    http::send("POST", &settings.url, &headers, &question.to_json())
}

/// Answers the attempt with what the service has said, or with what the operator wants where it has said nothing.
fn give(settings: &Settings, answer: &Answer, said: Result<reply::Reply, String>) -> Result<(), Error> {
    COUNTERS.with_borrow_mut(|counters| {
        let counters = match counters {
            Some(counters) => counters,
            None => counters.insert(Counters::open()?),
        };
        let reply = match said {
            Ok(reply) => reply,
            Err(reason) => {
                counters.failed.add(1);
                log::write(Level::Warn, &format!("{} has not decided: {reason}", settings.url));
                // Asked again soon.
                answer.set_expiry(1);
                match settings.on_error {
                    OnError::Allow => answer.allow(),
                    OnError::Deny => {
                        answer.deny("the service that decides who may do this cannot be asked: try again later")
                    }
                }
                return Ok(());
            }
        };
        if let Some(seconds) = reply.seconds {
            answer.set_expiry(seconds);
        }
        match reply.decision {
            Decision::Allow => {
                counters.allowed.add(1);
                answer.allow();
                Ok(())
            }
            Decision::AllowAs(name) => {
                counters.allowed.add(1);
                answer.allow_as(&name)
            }
            Decision::Deny(reason) => {
                counters.denied.add(1);
                answer.deny(&reason);
                Ok(())
            }
        }
    })
}

fn in_words(error: &Error) -> String {
    match error {
        Error::Invalid(text)
        | Error::Denied(text)
        | Error::Overloaded(text)
        | Error::Unsupported(text)
        | Error::Failed(text) => text.clone(),
        Error::Closed => "it is over".into(),
    }
}

export!(WebhookAccess);
