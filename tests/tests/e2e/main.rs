//! The real binary, with real tools around it.

mod access;
mod api;
mod bombs;
mod browser;
mod bundled;
mod calls;
mod connections;
mod events;
mod filters;
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
