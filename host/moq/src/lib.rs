//! Sessions of Media over QUIC, before anything is said about media: one QUIC [`Endpoint`], its [certificates](certificate), and, for
//! each client, the stack that speaks its version.
//!
//! Two stacks share the endpoint. IETF MoQ Transport (draft-ietf-moq-transport-18) is spoken by `moq-transport`; moq-lite, and the other
//! drafts, by `moq-net`. A client says which versions it knows, in the WebTransport request or in the ALPN of a raw QUIC connection,
//! and [`negotiate`] chooses.
//!
//! What is published and played in a session is the affair of the crates that read and write the bus.

mod adapter;
pub mod certificate;
mod client;
mod endpoint;
pub mod negotiate;
mod quic;
mod session;

pub use certificate::Certificates;
pub use client::{Client, ConnectError, Trust};
pub use endpoint::{AcceptError, Endpoint, Incoming};
pub use quic::Limits;
pub use session::{Address, Session, Stack};
