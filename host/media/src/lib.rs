//! The bus that every part of the server reads and writes: broadcasts, their tracks, and the fragments that flow through them.
//!
//! An ingest module publishes a [`broadcast`](bus::Bus::publish) and writes [fragments](fragment::Fragment) to the
//! [writers](stage::Writer) of its tracks: straight to the track, or through a [stage](stage). Anyone may read a track through a [consumer](track::Consumer) with a cursor of its
//! own. The [calendar](calendar::Calendar) of the broadcast gives every fragment its place: epoch, group, object and segment.
//!
//! Nothing here does I/O, and nothing here looks into media: a fragment's bytes were parsed before they came. The only source of
//! time is the [clock](clock::Clock) the bus is made with. Beside the bus stands what every protocol asks before it lets a client publish
//! or play: [`access`].

pub mod access;
pub mod broadcast;
pub mod bus;
pub mod calendar;
pub mod clock;
pub mod fragment;
pub mod name;
pub mod payload;
pub mod stage;
pub mod time;
pub mod track;

pub use access::Access;
pub use broadcast::{Broadcast, Publisher};
pub use bus::Bus;
pub use fragment::{Fragment, Media, Sample, Samples};
pub use name::{BroadcastName, TrackName};
pub use payload::{Intake, Payload};
pub use time::{Time, Timescale};
