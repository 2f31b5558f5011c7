//! Sessions over the loopback interface: a bus served through both stacks, and a client of each.

mod authorizers;
mod catalogs;
mod ends;
mod fetching;
mod joining;
mod limits;
mod listing;
mod peers;
mod relaying;
mod source;
