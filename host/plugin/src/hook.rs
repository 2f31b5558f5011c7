//! The hooks of a plugin, and what its instances are made for.

use std::sync::Arc;

use millrace_media::{BroadcastName, TrackName, broadcast};
use millrace_transcode::Rendition;
use millrace_transcode::factory::{Context, Reason, Slot};

/// A hook that has instances. `wake` and `messages` are called on the instances of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// Makes further tracks.
    Transcoder,
    /// Stands in the path.
    Filter,
    /// Decides who may publish and play.
    Access,
}

impl Hook {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Transcoder, Self::Filter, Self::Access];

    /// The name of its interface in the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transcoder => "transcoder",
            Self::Filter => "filter",
            Self::Access => "access",
        }
    }

    /// The hook of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.as_str() == name)
    }
}

/// Which of the interfaces that it may export a plugin exports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Those that have instances, in their order: at least one.
    pub hooks: Vec<Hook>,
    /// It can be woken.
    pub wake: bool,
    /// It takes messages.
    pub messages: bool,
}

impl Hooks {
    /// Whether the plugin exports a hook.
    pub fn has(&self, hook: Hook) -> bool {
        self.hooks.contains(&hook)
    }
}

/// What a filter's instance is made for.
#[derive(Clone, Debug)]
pub(crate) struct FilterContext {
    pub(crate) broadcast: BroadcastName,
    /// Of a filter that works per track.
    pub(crate) track: Option<TrackName>,
    /// The ladder that applies to the broadcast.
    pub(crate) renditions: Vec<Arc<Rendition>>,
    /// Why now.
    pub(crate) reason: Reason,
    /// Kept for this filter on this broadcast or track, over all its instances.
    pub(crate) state: Slot,
    /// Lives as long as the filter is at work on the broadcast or track.
    pub(crate) life: Arc<()>,
    pub(crate) broadcast_life: broadcast::Weak,
}

/// What an instance is made for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// To describe itself.
    Describe,
    Transcode(Box<Context>),
    Filter(Box<FilterContext>),
    /// For the whole server. The state is kept for the hook, over all its instances.
    Access {
        reason: Reason,
        state: Slot,
    },
}

impl Purpose {
    /// The hook whose functions it is called by; none while it describes itself.
    pub(crate) fn hook(&self) -> Option<Hook> {
        match self {
            Self::Describe => None,
            Self::Transcode(_) => Some(Hook::Transcoder),
            Self::Filter(_) => Some(Hook::Filter),
            Self::Access { .. } => Some(Hook::Access),
        }
    }

    /// What a transcoder works on.
    pub(crate) fn transcode(&self) -> Option<&Context> {
        if let Self::Transcode(context) = self { Some(context) } else { None }
    }

    pub(crate) fn broadcast(&self) -> Option<&BroadcastName> {
        match self {
            Self::Describe | Self::Access { .. } => None,
            Self::Transcode(context) => Some(&context.broadcast),
            Self::Filter(context) => Some(&context.broadcast),
        }
    }

    pub(crate) fn track(&self) -> Option<&TrackName> {
        match self {
            Self::Describe | Self::Access { .. } => None,
            Self::Transcode(context) => context.track.as_ref().map(|track| track.name()),
            Self::Filter(context) => context.track.as_ref(),
        }
    }

    pub(crate) fn rendition(&self) -> Option<&Arc<Rendition>> {
        self.transcode().and_then(|context| context.rendition.as_ref())
    }

    pub(crate) fn renditions(&self) -> &[Arc<Rendition>] {
        match self {
            Self::Describe | Self::Access { .. } => &[],
            Self::Transcode(context) => &context.renditions,
            Self::Filter(context) => &context.renditions,
        }
    }

    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Describe => Reason::Fresh,
            Self::Transcode(context) => context.reason,
            Self::Filter(context) => context.reason,
            Self::Access { reason, .. } => *reason,
        }
    }

    /// Kept for this instance and those that take its place.
    pub(crate) fn state(&self) -> Option<&Slot> {
        match self {
            Self::Describe => None,
            Self::Access { state, .. } => Some(state),
            Self::Transcode(context) => Some(&context.state),
            Self::Filter(context) => Some(&context.state),
        }
    }

    /// Lives as long as what the instance is made for; none where that is the server.
    pub(crate) fn life(&self) -> Option<&Arc<()>> {
        match self {
            Self::Describe | Self::Access { .. } => None,
            Self::Transcode(context) => Some(&context.life),
            Self::Filter(context) => Some(&context.life),
        }
    }

    pub(crate) fn broadcast_life(&self) -> Option<&broadcast::Weak> {
        match self {
            Self::Describe | Self::Access { .. } => None,
            Self::Transcode(context) => Some(&context.broadcast_life),
            Self::Filter(context) => Some(&context.broadcast_life),
        }
    }
}
