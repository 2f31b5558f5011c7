//! Tracks: one elementary stream of a broadcast each, written by one producer and read by any number of consumers.
//!
//! A track keeps the fragments of its last [window](Window). The producer never waits for anybody. Each consumer has its own cursor;
//! one that is overtaken by the window's end is told of the [gap](Event::Gap) and goes on at the start of a group, so that what it
//! reads can always be decoded.

mod blocks;
mod consumer;
mod info;
mod listing;
mod producer;
mod share;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod viewers;

pub(crate) use blocks::Charge;
pub use consumer::{Consumer, Event, Next, Start};
pub use info::{Format, Info, Kind, Provenance};
pub use listing::{Listing, ListingError, Role, UnknownRole};
pub use producer::{InfoError, Producer, WriteError};
pub(crate) use share::Total;
pub use state::{Stats, Track, Window};
pub use viewers::Viewer;
