//! Messages of the operator as ID3 in the stream: each becomes an event message (`https://aomedia.org/emsg/ID3`) before the next fragment of
//! the video, or of the audio where there is no video. Players show it as timed metadata.

pub mod message;
mod plugin;
pub mod tag;
