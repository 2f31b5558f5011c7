//! What a plugin may reach beyond its own media: only what the operator has granted to it by name.

mod denied;
mod host;

use url::Url;

pub use denied::Denial;
pub(crate) use denied::Denials;
pub use host::{HostPattern, HostPatternError};

/// What is granted to one plugin. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// The hosts it may send HTTP requests to.
    pub http: Vec<HostPattern>,
    /// Calls at a time.
    pub timers: bool,
    /// The time of day and a monotonic clock.
    pub clock: bool,
    /// Random numbers. Without it they are the same in every instance.
    pub random: bool,
    /// The bytes that its store on disk may hold.
    pub store: Option<u64>,
}

/// The name of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grant {
    /// HTTP requests.
    Http,
    /// Calls at a time.
    Timers,
    /// Time.
    Clock,
    /// Random numbers.
    Random,
    /// A store on disk.
    Store,
}

impl Grant {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Http, Self::Timers, Self::Clock, Self::Random, Self::Store];

    /// As it is written in the configuration, the API and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Timers => "timers",
            Self::Clock => "clock",
            Self::Random => "random",
            Self::Store => "store",
        }
    }
}

impl Grants {
    /// Whether a grant is given at all; of `http`, for any host.
    pub fn has(&self, grant: Grant) -> bool {
        match grant {
            Grant::Http => !self.http.is_empty(),
            Grant::Timers => self.timers,
            Grant::Clock => self.clock,
            Grant::Random => self.random,
            Grant::Store => self.store.is_some(),
        }
    }

    /// Whether requests to this URL are granted: its scheme, host and port.
    pub(crate) fn has_url(&self, url: &Url) -> bool {
        self.http.iter().any(|pattern| pattern.matches(url))
    }

    /// Whether a host with this name may be at an address that is not public.
    pub(crate) fn may_be_private(&self, host: &str) -> bool {
        self.http.iter().any(|pattern| pattern.is_private() && pattern.matches_name(host))
    }
}
