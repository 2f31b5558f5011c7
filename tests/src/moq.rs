//! Media over QUIC, spoken by others: the programs of `tests/peers`, and a viewer of this project's own client.

mod capture;
mod peer;
mod relay;
mod viewer;

pub use capture::{Capture, Recording};
pub use peer::Peer;
pub use relay::Relay;
pub use viewer::{Object, Viewer};
