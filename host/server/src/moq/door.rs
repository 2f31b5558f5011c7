//! Who may publish over Media over QUIC: whoever shows the token or a JSON Web Token in the session's URL, or everybody on this machine
//! where neither is configured. Everybody may play.

use anyhow::Context;
use millrace_ingest::moq::Grant;
use millrace_moq::Address;
use subtle::ConstantTimeEq;
use url::Url;

use super::jwt;
use crate::api::is_loopback;
use crate::config::{Ingest, Token};

/// Why a session is refused. Said to the client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The token is another.
    #[error("the token is wrong")]
    Token,
    /// There is no token to compare it with.
    #[error("no `publish_token` is configured: publish without `?token=`, or with `?jwt=` where the server has a key")]
    NoToken,
    /// There is no key to check it with.
    #[error("no `jwt_key` is configured, so that no `?jwt=` can be checked")]
    NoKey,
    /// The JSON Web Token will not do.
    #[error(transparent)]
    Jwt(#[from] jwt::TokenError),
}

/// What is asked of publishers.
pub(crate) struct Door {
    token: Option<Token>,
    key: Option<jwt::Key>,
}

impl Door {
    /// As the configuration says. Reads the key.
    ///
    /// # Errors
    /// Where the key cannot be read.
    pub(crate) fn new(ingest: &Ingest) -> anyhow::Result<Self> {
        let key = ingest.jwt_key.as_deref().map(jwt::Key::read).transpose();
        Ok(Self { token: ingest.publish_token.clone(), key: key.context("`jwt_key` of [ingest]")? })
    }

    /// What a client may publish that comes with this address, and on behalf of a page of this origin where it is a browser.
    ///
    /// # Errors
    /// Where it shows what is not right: it is better told than left to publish in vain.
    pub(crate) fn grant(&self, address: &Address, origin: Option<&str>) -> Result<Grant, Refused> {
        if let Some(shown) = address.parameter("jwt") {
            let key = self.key.as_ref().ok_or(Refused::NoKey)?;
            return Ok(Grant::Below(key.path(&shown)?));
        }
        if let Some(shown) = address.parameter("token") {
            let token = self.token.as_ref().ok_or(Refused::NoToken)?;
            let same: bool = shown.as_bytes().ct_eq(token.expose().as_bytes()).into();
            return if same { Ok(Grant::Below(String::new())) } else { Err(Refused::Token) };
        }
        let is_open = self.token.is_none() && self.key.is_none();
        // A browser on this machine runs pages of others, which are not to publish here.
        let is_ours = |origin: &str| Url::parse(origin).is_ok_and(|url| url.host_str().is_some_and(is_loopback));
        Ok(if is_open && origin.is_none_or(is_ours) { Grant::Below(String::new()) } else { Grant::Nothing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, load};

    fn door(token: Option<&str>) -> Door {
        let variables = token.map(|token| ("MILLRACE_INGEST_PUBLISH_TOKEN".to_owned(), token.to_owned()));
        let Config { ingest, .. } = load(None, variables.into_iter()).unwrap();
        Door::new(&ingest).unwrap()
    }

    fn grant(door: &Door, address: &str, origin: Option<&str>) -> Result<Grant, String> {
        door.grant(&Address::parse(address), origin).map_err(|refused| refused.to_string())
    }

    fn everything() -> Result<Grant, String> {
        Ok(Grant::Below(String::new()))
    }

    #[test]
    fn with_a_token_it_has_to_be_shown() {
        let door = door(Some("correct-horse/+"));
        assert_eq!(grant(&door, "/?x=1&token=correct-horse%2F%2b", None), everything());
        assert_eq!(grant(&door, "/live", None), Ok(Grant::Nothing), "who shows none may play");
        for wrong in ["/?token=", "/?token=correct-horse", "/?token=correct-horse/%2b%2b"] {
            assert_eq!(grant(&door, wrong, None), Err("the token is wrong".into()), "{wrong}");
        }
        assert!(grant(&door, "/?jwt=a.b.c", None).unwrap_err().contains("`jwt_key`"));
    }

    #[test]
    fn without_one_everybody_on_this_machine_may_but_pages_of_others() {
        let door = door(None);
        assert_eq!(grant(&door, "/", None), everything());
        for ours in ["http://127.0.0.1:8080", "http://localhost:5173", "https://[::1]:8080"] {
            assert_eq!(grant(&door, "/", Some(ours)), everything(), "{ours}");
        }
        for theirs in ["https://evil.example", "https://127.0.0.1.evil.example", "null", ""] {
            assert_eq!(grant(&door, "/", Some(theirs)), Ok(Grant::Nothing), "{theirs}");
        }
        assert!(grant(&door, "/?token=correct-horse", None).unwrap_err().contains("publish without"));
    }
}
