//! Who may use the guarded part of the API: whoever shows its token, or clients on this machine where none is configured.

use std::sync::Arc;

use axum::http::request::Parts;

use super::local::{Caller, Foreign, Local, Reach};
use super::shown::{bearer, is_token};
use crate::config::Token;

/// Why a request is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotOperator {
    /// There is a token, and the request does not show it.
    #[error("this needs the token of [api]: send it as `Authorization: Bearer TOKEN`")]
    Token,
    /// There is none, and the request comes from elsewhere.
    #[error(
        "{0}, and without a token only clients on the server's own machine may use this: address it as localhost, 127.0.0.1 or [::1], \
         or set `token` in [api] of the configuration (or MILLRACE_API_TOKEN) and send it"
    )]
    Foreign(#[from] Foreign),
}

/// Who may use the guarded part of the API over a listener.
#[derive(Clone, Debug)]
pub(crate) struct Operators {
    pub(crate) token: Option<Token>,
    pub(crate) reach: Reach,
    pub(crate) local: Arc<Local>,
}

impl Operators {
    /// Checks a request, which may be any of the API's.
    ///
    /// # Errors
    /// Where it may not be followed.
    pub(crate) fn check(&self, request: &Parts) -> Result<(), NotOperator> {
        if let Some(token) = &self.token {
            let shows = bearer(&request.headers).is_some_and(|shown| is_token(shown, token));
            return if shows { Ok(()) } else { Err(NotOperator::Token) };
        }
        if self.reach == Reach::Network {
            return Err(Foreign::Network.into());
        }
        let caller = Caller::of(&request.uri, &request.headers);
        // Reading is harmless: no page of another origin is shown the answer.
        let check = if request.method.is_safe() { Local::check_host } else { Local::check_change };
        Ok(check(&self.local, &caller)?)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use axum::http::request::Builder;

    use super::*;
    use crate::config::load;

    fn check(token: Option<&str>, reach: Reach, request: Builder) -> Result<(), NotOperator> {
        let variables = token.map(|token| ("MILLRACE_API_TOKEN".to_owned(), token.to_owned()));
        let config = load(None, variables.into_iter()).unwrap();
        let operators = Operators { local: Arc::new(Local::new(&config)), token: config.api.token, reach };
        operators.check(&request.uri("/api/v1/ladders").body(()).unwrap().into_parts().0)
    }

    fn local() -> Builder {
        Request::post("/").header("host", "127.0.0.1:8080")
    }

    #[test]
    fn a_token_is_asked_for_everywhere_once_there_is_one() {
        for reach in [Reach::Loopback, Reach::Network] {
            let with = |value: &str| check(Some("correct-horse"), reach, local().header("authorization", value));
            assert_eq!(with("Bearer correct-horse"), Ok(()));
            assert_eq!(with("Bearer correct-hors"), Err(NotOperator::Token));
            assert_eq!(with("Basic correct-horse"), Err(NotOperator::Token));
            assert_eq!(check(Some("correct-horse"), reach, local()), Err(NotOperator::Token));
        }
        let named = Request::post("/").header("host", "media.example").header("origin", "https://elsewhere.example");
        let named = named.header("authorization", "Bearer correct-horse");
        assert_eq!(check(Some("correct-horse"), Reach::Network, named), Ok(()), "the token is the proof");
    }

    #[test]
    fn without_a_token_only_this_machine_may() {
        assert_eq!(check(None, Reach::Loopback, local()), Ok(()));
        assert_eq!(check(None, Reach::Network, local()), Err(Foreign::Network.into()));
        let rebound = Request::get("/").header("host", "evil.example:8080");
        assert_eq!(check(None, Reach::Loopback, rebound), Err(Foreign::Host("evil.example:8080".into()).into()));
        let foreign = || local().header("sec-fetch-site", "cross-site");
        assert!(check(None, Reach::Loopback, foreign()).is_err());
        assert_eq!(check(None, Reach::Loopback, foreign().method("GET")), Ok(()));
    }
}
