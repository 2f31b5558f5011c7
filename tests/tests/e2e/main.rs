//! The real binary, with real tools around it.

mod api;
mod browser;
mod forms;
mod ladder;
mod low_latency;
mod memory;
mod moq;
mod plugins;
mod refusals;
mod stop;
