//! The real binary, with real tools around it.

mod browser;
mod forms;
mod low_latency;
mod plugins;
mod refusals;
mod stop;
