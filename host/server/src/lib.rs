//! The `millrace` server: configuration, command line, and the wiring of protocols to the bus.

pub mod cli;
pub mod config;
