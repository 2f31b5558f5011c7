//! The real binary, with real tools around it.

mod api;
mod browser;
mod forms;
mod guard;
mod ladder;
mod low_latency;
mod moq;
mod plugins;
mod refusals;
mod reload;
mod stop;
