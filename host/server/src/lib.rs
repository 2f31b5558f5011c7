//! The `millrace` server: configuration, command line, and the wiring of protocols to the bus.

mod api;
pub mod cli;
pub mod config;
mod demo;
mod ladders;
mod listen;
mod pages;
mod plugins;
mod run;
mod settings;
mod telemetry;

pub use run::run;
