//! Plugins as an operator meets them: loaded from components built here, run by the runner on a real bus.

mod access;
mod bombs;
mod compile;
mod contract;
mod filters;
mod guests;
mod host;
mod hostile;
mod ladder;
mod load;
mod logs;
mod misbehave;
mod museum;
mod reach;
mod sound;
mod source;
mod wasi;
