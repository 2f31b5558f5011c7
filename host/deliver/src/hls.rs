//! HTTP Live Streaming with low latency (draft-pantos-hls-rfc8216bis).
//!
//! [`MediaPlaylist`] is the state of one track's playlist: fragments go in, text and runs of fragments come out. It does no I/O and
//! has no clock. [`Hls`] keeps one for every track of every broadcast of a bus, each fed by a task of its own, and [`router`] answers
//! requests from them, waiting where the protocol says so.
//!
//! **Rungs that rest.** A rung that nobody plays may stop; whoever asks for anything of it but the multivariant playlist is its
//! [viewer](millrace_media::track::Track::viewed), and wakes it. Meanwhile its playlist goes on with the others': segments that did not
//! come are listed as absent (rfc8216bis, 4.4.4.7), and its bandwidth stays what it was. A request that waits for a segment is answered
//! when the rung is back, or when that segment is over. A rung that is removed while the broadcast goes on answers `410 Gone`, so that
//! players go on with another one, where `EXT-X-ENDLIST` would have them stop.
//!
//! **Who may play.** Everybody; or those whom the authorizers of an [`Access`](millrace_media::Access) allow, who are asked once a viewer and
//! not once a request. Then the multivariant playlist lists its playlists below a token of the viewer's own, `b/~token/t/playlist.m3u8`, and
//! everything else is answered below it alone. A media playlist that is asked for without one is moved below one (307).
//!
//! Below the router's prefix, `b` standing for a broadcast and `t` for a track of it:
//!
//! | path | what |
//! | --- | --- |
//! | `b/master.m3u8` | the source and its live rungs |
//! | `b/t/master.m3u8` | one rung with its sound, or one audio track alone |
//! | `b/t/playlist.m3u8` | the track |
//! | `b/t/<epoch>/init-<n>.mp4` | its CMAF header, counted within the epoch |
//! | `b/t/<epoch>/<segment>.m4s` | a segment |
//! | `b/t/<epoch>/<segment>.<part>.m4s` | a part of one |

mod body;
mod cadence;
mod cors;
mod date;
mod delivery;
mod feed;
mod hold;
mod http;
mod master;
mod meters;
mod path;
mod playlist;
mod ranges;
mod registry;
mod segment;
mod sessions;
mod silence;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use http::router;
pub use playlist::{Answer, Measured, MediaPlaylist, Position, Report, Stored, Surroundings, Wanted};
pub use ranges::{DATE_RANGE_SCHEME, DateRanges};
pub use registry::Hls;

/// What HLS is served with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a part should be. Each track's part target is the nearest length that its fragments can keep to.
    pub part_target: Duration,
    /// How much media a playlist lists, at least three target durations. What is listed must stay fetchable as long again after it
    /// has left the list, so that this is at most half of what the bus keeps, whatever is asked for.
    pub playlist_window: Duration,
    /// Without it there are no parts.
    pub low_latency: bool,
    /// The origins whose pages may play; `*` stands for every one.
    pub cors_origins: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            part_target: Duration::from_millis(200),
            playlist_window: Duration::from_secs(20),
            low_latency: true,
            cors_origins: vec!["*".into()],
        }
    }
}
