//! Playlists of synthetic sources on a real bus, every one held against the rules; and the answers of the router.

mod bandwidth;
mod cadence;
mod gate;
mod http;
mod listing;
mod playlist;
mod ranges;
mod rest;
mod rules;
mod source;
mod squeezed;
