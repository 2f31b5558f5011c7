//! The real binary, with real tools around it.

mod browser;
mod configuration;
mod forms;
mod low_latency;
mod plugins;
mod refusals;
mod stop;
