//! Publishers' protocols: from the wire to the bus, one module each.
//!
//! Whatever the protocol, times are put on the broadcast's timeline here, at the door, and media is brought to the size that
//! deliveries want: see [`pieces`].

mod grant;
pub mod http;
mod lane;
pub mod moq;
mod names;
pub mod pieces;

pub use grant::Grant;
