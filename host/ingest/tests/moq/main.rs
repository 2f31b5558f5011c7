//! Real publishers of both stacks, over QUIC on the loopback interface; what the bus then holds is compared with what they sent.

mod authorizers;
mod bad_input;
mod catalogs;
mod containers;
mod filtered;
mod media;
#[path = "../common/native.rs"]
mod native;
mod publish;
mod refusals;
mod returns;
mod stage;
