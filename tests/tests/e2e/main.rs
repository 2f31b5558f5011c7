//! The real binary, with real tools around it.

mod api;
mod bombs;
mod browser;
mod bundled;
mod connections;
mod events;
mod forms;
mod guard;
mod hostile;
mod ladder;
mod low_latency;
mod memory;
mod moq;
mod plugins;
mod refusals;
mod reload;
mod stop;
