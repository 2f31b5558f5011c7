//! Lets in who shows a JSON Web Token (RFC 7519): its claims say which broadcasts its holder may publish and play.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`settings`] | reads the operator's part of the configuration |
//! | [`keys`] | the keys (RFC 7517), and whether a token is signed by one of them |
//! | [`claims`] | what a token allows |
//! | [`pattern`] | names of broadcasts with `*` and `**` |

wit_bindgen::generate!({ path: "../../wit", inline: "
    package jwt:access;
    world jwt-access {
        include millrace:plugin/access-plugin@0.2.1;
        include millrace:plugin/uses-clock@0.2.1;
    }
", generate_all });

mod claims;
mod keys;
mod pattern;
mod settings;

use std::cell::RefCell;

use claims::{Decision, Wish};
use exports::millrace::plugin::{about, access};
use millrace::plugin::clock;
use millrace::plugin::media::{Answer, Attempt, Description};
use millrace::plugin::metrics::{Counter, Labels};
use millrace::plugin::types::{Entry, Error};
use settings::Settings;

/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 8 << 10;

thread_local! {
    static SETTINGS: RefCell<Option<Settings>> = const { RefCell::new(None) };
    /// Attempts that were allowed, and that were denied.
    static COUNTERS: RefCell<Option<[Counter; 2]>> = const { RefCell::new(None) };
}

/// A plugin has no random numbers, and none are needed to check a signature.
#[cfg(target_arch = "wasm32")]
fn no_random_numbers(_: &mut [u8]) -> Result<(), getrandom::Error> {
    Err(getrandom::Error::UNSUPPORTED)
}
#[cfg(target_arch = "wasm32")]
getrandom::register_custom_getrandom!(no_random_numbers);

struct JwtAccess;

impl about::Guest for JwtAccess {
    fn describe(settings: String, about: &Description) -> Result<(), Error> {
        about.set_summary("Lets in who shows a JSON Web Token")?;
        Settings::parse(&settings).map_err(Error::Invalid)?;
        if clock::now() == 0 {
            return Err(Error::Denied("tokens expire: give this plugin `grants = { clock = true }`".into()));
        }
        Ok(())
    }
}

impl access::Guest for JwtAccess {
    fn authorize(attempt: Attempt, answer: Answer) -> Result<(), Error> {
        let decision = SETTINGS.with_borrow_mut(|known| {
            let settings = match known {
                Some(settings) => settings,
                None => known.insert(Settings::parse(&attempt.settings()).map_err(Error::Invalid)?),
            };
            Ok::<_, Error>(decide(settings, &attempt))
        })?;
        count(matches!(decision, Decision::Deny(_)))?;
        match decision {
            Decision::Allow { seconds, name } => {
                answer.set_expiry(seconds);
                match name {
                    Some(name) => answer.allow_as(&name)?,
                    None => answer.allow(),
                }
            }
            Decision::Deny(reason) => answer.deny(&reason),
        }
        Ok(())
    }
}

fn decide(settings: &Settings, attempt: &Attempt) -> Decision {
    let Some(token) = token(settings, attempt) else {
        return Decision::Deny(format!(
            "a JSON Web Token is needed: send it as `Authorization: Bearer TOKEN`, or in the address as `?{}=TOKEN`",
            settings.parameter
        ));
    };
    if token.len() > MAX_TOKEN {
        return Decision::Deny(format!("the token has {} bytes, and may have {MAX_TOKEN}", token.len()));
    }
    let (action, broadcast) = (attempt.action(), attempt.broadcast());
    claims::decide(settings, &token, &Wish { action: &action, broadcast: &broadcast, now: clock::now() / 1_000_000 })
}

/// The token that the client shows.
fn token(settings: &Settings, attempt: &Attempt) -> Option<String> {
    let bearer = attempt.header("authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    });
    bearer.or_else(|| attempt.query(&settings.parameter))
}

fn count(denied: bool) -> Result<(), Error> {
    COUNTERS.with_borrow_mut(|counters| {
        let counters = match counters {
            Some(counters) => counters,
            None => {
                let open = |decision: &str| {
                    let entry = Entry { key: "decision".into(), value: decision.into() };
                    Counter::open("attempts", Labels::empty(), &[entry])
                };
                counters.insert([open("allowed")?, open("denied")?])
            }
        };
        counters[usize::from(denied)].add(1);
        Ok(())
    })
}

export!(JwtAccess);
