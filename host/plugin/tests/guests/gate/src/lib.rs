//! A plugin that decides as it is told: by `{"do": "deny"}` in its settings, or else by the key `do` of the client's query.

wit_bindgen::generate!({ path: "../../../../../wit", inline: "
    package test:gate;
    world gate {
        include millrace:plugin/access-plugin@0.2.1;
        include millrace:plugin/uses-timers@0.2.1;
    }
", generate_all });

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use exports::millrace::plugin::{about, access, wake};
use millrace::plugin::media::{Answer, Attempt, Description};
use millrace::plugin::timers;
use millrace::plugin::types::Error;

thread_local! {
    /// Attempts that are never answered.
    static KEPT: RefCell<Vec<(Attempt, Answer)>> = const { RefCell::new(Vec::new()) };
    /// What has been allowed for a second, and never again.
    static ONCE: RefCell<HashSet<String>> = RefCell::new(HashSet::new());
    /// Attempts that are answered when their timers are due.
    static LATE: RefCell<HashMap<u64, (Attempt, Answer)>> = RefCell::new(HashMap::new());
}

struct Gate;

/// The value of the first key.
fn what(settings: &str) -> Option<&str> {
    settings.split('"').nth(3)
}

impl about::Guest for Gate {
    fn describe(_: String, about: &Description) -> Result<(), Error> {
        about.set_summary("Decides as it is told")
    }
}

impl access::Guest for Gate {
    fn authorize(attempt: Attempt, answer: Answer) -> Result<(), Error> {
        let settings = attempt.settings();
        // So that attempts can be told apart.
        let _ = attempt.query("n");
        let asked = what(&settings).map(str::to_owned).or_else(|| attempt.query("do"));
        match asked.as_deref().unwrap_or("allow") {
            "allow" => answer.allow(),
            "deny" => answer.deny("it says\nno"),
            "deny-at-length" => answer.deny(&"ä".repeat(1000)),
            // Whoever asks is told what is known of it.
            "tell" => answer.deny(&format!(
                "{} {} over {} from {} with {:?} and {:?}",
                attempt.action(),
                attempt.broadcast(),
                attempt.protocol(),
                attempt.address(),
                attempt.query("key"),
                attempt.header("X-Key"),
            )),
            "as" => answer.allow_as("live/other")?,
            "as-nothing" => answer.allow_as("not a name")?,
            "briefly" => {
                answer.set_expiry(1);
                answer.allow();
            }
            "once" => {
                let name = format!("{} {}", attempt.action(), attempt.broadcast());
                if ONCE.with_borrow_mut(|once| once.insert(name)) {
                    answer.set_expiry(1);
                    answer.allow();
                } else {
                    answer.deny("it is over");
                }
            }
            "twice" => {
                answer.allow();
                answer.deny("too late");
            }
            "late" => {
                let ticket = timers::wake_after(50)?;
                LATE.with_borrow_mut(|late| late.insert(ticket, (attempt, answer)));
            }
            "never" => KEPT.with_borrow_mut(|kept| kept.push((attempt, answer))),
            "drop" => drop(answer),
            "fail" => return Err(Error::Failed("the password is swordfish".into())),
            "trap" => core::arch::wasm32::unreachable(),
            "loop" => loop {
                std::hint::black_box(());
            },
            other => return Err(Error::Invalid(other.to_owned())),
        }
        Ok(())
    }
}

impl wake::Guest for Gate {
    fn on_wake(ticket: u64) -> Result<(), Error> {
        if let Some((attempt, answer)) = LATE.with_borrow_mut(|late| late.remove(&ticket)) {
            answer.allow();
            drop(attempt);
        }
        Ok(())
    }
}

export!(Gate);
