//! The time of day as an event where each group of the video begins: how late a viewer is can be read off it.

mod plugin;
#[path = "../../id3/src/tag.rs"]
pub mod tag;
pub mod time;
