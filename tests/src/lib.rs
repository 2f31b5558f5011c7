//! What the end-to-end tests stand on: the real binary, ffmpeg, a browser, and a small client of HLS.
//!
//! Each test runs a [`Server`] of its own on a port of its own. One holds the machine at a time, however the tests are run, because
//! they measure.

mod film;
mod http;
pub mod moq;
mod page;
mod playlist;
mod plugins;
mod program;
mod publisher;
mod reading;
mod readme;
mod reel;
mod resident;
mod server;
mod step;
mod turn;
mod wait;

pub use film::{Film, header_and_second};
pub use http::{Answer, Client};
pub use page::{Page, checked_playlists, publish_from_pages, read_objects, watch_cues, watch_with_stock_player};
pub use playlist::{Playlist, Segment};
pub use plugins::{filtering, gate, misbehaving, shipped};
pub use program::{run, run_for_errors};
pub use publisher::Publisher;
pub use reading::{Packet, expect_continuous, packets};
pub use readme::Form;
pub use reel::{Reel, Showing};
pub use resident::resident;
pub use server::Server;
pub use step::{Moments, moments, moments_of_file};
pub use wait::{PATIENCE, until};

use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where a test leaves what people may want to look at.
pub fn exhibits() -> PathBuf {
    let folder = root().join("target/e2e");
    std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    folder
}
