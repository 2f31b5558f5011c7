//! The `millrace` server: configuration, command line, and the wiring of protocols to the bus.

mod access;
mod api;
mod certificates;
pub mod cli;
pub mod config;
mod demo;
mod ladders;
mod listen;
mod memory;
mod moq;
mod pages;
pub mod pipe;
mod plugins;
mod reload;
mod run;
mod settings;
mod telemetry;
mod upkeep;

pub use run::run;
