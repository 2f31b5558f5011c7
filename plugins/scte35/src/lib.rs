//! Cues for advertisements: whatever says where a break is, says it as SCTE-35 on the video track.
//!
//! Sections come in event messages of any track (`urn:scte:scte35:2013:bin`), as the samples of a data track, and in messages of the
//! operator. Each is written as an event message on the video, with the fragment that passes next, and again where a group begins while its
//! time is still ahead. Players that join find it there; the server lists it in playlists as a date range.
//!
//! What decides is in [`schedule`], [`message`] and [`section`], which know nothing of the host.

pub mod message;
mod plugin;
pub mod schedule;
pub mod section;
pub mod settings;
