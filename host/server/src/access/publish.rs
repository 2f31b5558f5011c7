//! Who may publish: whoever shows the token or a JSON Web Token; where neither is configured, clients on this machine.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context;
use axum::http::request::Parts;
use millrace_ingest::Grant;
use millrace_ingest::http::{Access, Denied};
use millrace_moq::Session;

use super::jwt;
use super::local::{Caller, Foreign, Local};
use super::shown::{Shown, is_token};
use crate::config::{Config, Token};
use crate::reload::Outcome;

/// Why a client may not publish. Said to the client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The client shows nothing.
    #[error("publishing needs {0}")]
    Nothing(&'static str),
    /// The token is another.
    #[error("the token is wrong")]
    Token,
    /// No token is configured.
    #[error("no `publish_token` is configured, so that no `?token=` can be right: send a JSON Web Token as `?jwt=`")]
    NoToken,
    /// No key is configured.
    #[error("no `jwt_key` is configured, so that no `?jwt=` can be checked: send the token as `?token=`")]
    NoKey,
    /// The JSON Web Token is not valid.
    #[error(transparent)]
    Jwt(#[from] jwt::TokenError),
    /// No credential is configured, and the client is not on this machine.
    #[error(
        "{0}, and without a token only clients on the server's own machine may publish, and no pages of other sites: \
         set `publish_token` or `jwt_key` in [ingest] of the configuration (or MILLRACE_INGEST_PUBLISH_TOKEN), and send the token"
    )]
    Foreign(#[from] Foreign),
}

/// The key of JSON Web Tokens, and its file.
struct KeyFile {
    path: PathBuf,
    key: RwLock<jwt::Key>,
}

/// Decides who may publish, on every protocol.
pub(crate) struct Publishers {
    token: Option<Token>,
    key: Option<KeyFile>,
    local: Arc<Local>,
}

impl Publishers {
    /// As the configuration says. Reads the key.
    ///
    /// # Errors
    /// Where the key cannot be read.
    pub(crate) fn new(config: &Config, local: Arc<Local>) -> anyhow::Result<Self> {
        let read = |path: &PathBuf| {
            let key = RwLock::new(jwt::Key::read(path)?);
            Ok::<_, jwt::KeyError>(KeyFile { path: path.clone(), key })
        };
        let key = config.ingest.jwt_key.as_ref().map(read).transpose().context("`jwt_key` of [ingest]")?;
        Ok(Self { token: config.ingest.publish_token.clone(), key, local })
    }

    /// Reads the key again, where there is one. Asks the disk.
    ///
    /// # Errors
    /// Where the file cannot be read, or has no key in it: the one there was stays.
    pub(crate) fn reload(&self) -> Result<Outcome, jwt::KeyError> {
        let Some(file) = &self.key else { return Ok(Outcome::Same) };
        let key = jwt::Key::read(&file.path)?;
        let mut known = file.key.write().unwrap_or_else(PoisonError::into_inner);
        let outcome = if *known == key { Outcome::Same } else { Outcome::Changed };
        *known = key;
        Ok(outcome)
    }

    /// What a session of Media over QUIC may publish. `pages` are the ports of the server's own pages. A client that shows nothing, or a
    /// page of another site, may publish nothing, and play.
    ///
    /// # Errors
    /// Where the client shows a wrong credential.
    pub(crate) fn grant_session(&self, client: &Client<'_>, pages: &[u16]) -> Result<Grant, Refused> {
        let shown = Shown::in_address(client.address);
        let shows_nothing = shown == Shown::Nothing;
        match self.grant(shown, &Caller::of_session(client.authority, client.origin, pages)) {
            Err(reason @ (Refused::Nothing(_) | Refused::Foreign(_))) if shows_nothing => {
                tracing::debug!(%reason, "a session may play, and publish nothing");
                Ok(Grant::Nothing)
            }
            granted => granted,
        }
    }

    fn grant(&self, shown: Shown, caller: &Caller<'_>) -> Result<Grant, Refused> {
        let everything = || Grant::Below(String::new());
        let jwt = |shown: &str, file: &KeyFile| {
            let key = file.key.read().unwrap_or_else(PoisonError::into_inner);
            Ok(Grant::Below(key.path(shown)?))
        };
        match (&self.token, &self.key, shown) {
            // Credentials are ignored where none is configured.
            (None, None, _) => {
                self.local.check_change(caller)?;
                Ok(everything())
            }
            (Some(token), _, Shown::Token(shown)) if is_token(&shown, token) => Ok(everything()),
            (Some(token), _, Shown::Bearer(shown)) if is_token(&shown, token) => Ok(everything()),
            (_, Some(file), Shown::Jwt(shown)) => jwt(&shown, file),
            // A plain token may have any form. One in the form of a JSON Web Token gets the errors of a JSON Web Token.
            (None, Some(file), Shown::Bearer(shown)) => jwt(&shown, file),
            (Some(_), Some(file), Shown::Bearer(shown)) if jwt::is_jwt(&shown) => jwt(&shown, file),
            (Some(_), _, Shown::Token(_) | Shown::Bearer(_)) => Err(Refused::Token),
            (None, _, Shown::Token(_)) => Err(Refused::NoToken),
            (_, None, Shown::Jwt(_)) => Err(Refused::NoKey),
            (token, key, Shown::Nothing) => Err(Refused::Nothing(match (token, key) {
                (_, None) => "the token: send it as `Authorization: Bearer TOKEN`, or in the address as `?token=TOKEN`",
                (None, _) => {
                    "a JSON Web Token: send it as `Authorization: Bearer JWT`, or in the address as `?jwt=JWT`"
                }
                _ => {
                    "the token or a JSON Web Token: send it as `Authorization: Bearer`, or in the address as `?token=` or `?jwt=`"
                }
            })),
        }
    }
}

/// A client that begins a session of Media over QUIC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a> {
    /// The path and query that it asks for.
    pub(crate) address: &'a millrace_moq::Address,
    /// The host that it asks, and the origin of the page behind it, where it says so.
    pub(crate) authority: Option<&'a str>,
    pub(crate) origin: Option<&'a str>,
}

impl<'a> Client<'a> {
    /// Who is at the other end of a session.
    pub(crate) fn of(session: &'a Session) -> Self {
        Self { address: &session.address, authority: session.authority.as_deref(), origin: session.origin.as_deref() }
    }
}

impl Access for Publishers {
    fn grant(&self, request: &Parts) -> Result<Grant, Denied> {
        let caller = Caller::of(&request.uri, &request.headers);
        self.grant(Shown::in_request(request), &caller).map_err(|refused| Denied(refused.to_string()))
    }
}

impl fmt::Debug for Publishers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (token, key) = (self.token.is_some(), self.key.is_some());
        f.debug_struct("Publishers").field("token", &token).field("key", &key).finish_non_exhaustive()
    }
}
