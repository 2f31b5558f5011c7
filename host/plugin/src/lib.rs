//! The component host: plugins in WebAssembly, behind the contract in `wit/`.
//!
//! [`Plugins`] is the engine they share: its compiler, its pool of instances and its threads. [Loading](Plugins::load) a plugin gives a
//! [`PluginFactory`], a transcoder factory like any native one. Each transcoder it makes is an instance with a store of its own, so that one
//! that traps, loops or hoards takes nothing with it but itself.
//!
//! What a plugin may take is in its [`Limits`]; what it is told comes from [`PluginSettings`]. It is given what its world imports, and
//! WASI as far as runtimes insist on it. What is in it of the machine and the network is in its [`Grants`].

#![deny(unsafe_code)]

mod access;
mod bindings;
mod clock;
mod compile;
mod engine;
mod factory;
mod fault;
mod filter;
mod grants;
mod hook;
mod http;
mod imports;
mod inbox;
mod instance;
mod limits;
mod load;
mod messages;
mod metrics;
mod plugin;
mod rate;
mod reach;
mod settings;
mod share;
mod state;
mod states;
mod store;
mod text;
mod threads;
mod timers;
mod transcoder;
mod wasi;

pub use access::PluginAuthorizer;
pub use compile::{
    About, CacheSettings, CompileError, CompileJob, CompileLimits, Compiler, NotAJob, Producer, World, WorldError,
    WorldLimits,
};
pub use engine::{EngineError, EngineSettings, Plugins};
pub use factory::PluginFactory;
pub use filter::{CallTimes, FilterKey, FilterState, FilterStats, Filters};
pub use grants::{Denial, Grant, Grants, HostPattern, HostPatternError};
pub use hook::{Hook, Hooks};
pub use http::TrustError;
pub use load::{LoadError, LoadFault};
pub use messages::{Addressees, MAX_MESSAGE, NotSent, Reply};
pub use metrics::RaisedAlarm;
pub use plugin::Plugin;
pub use settings::{BroadcastFilter, Limits, PluginSettings};
pub use store::{MAX_STORE, StoreError};
