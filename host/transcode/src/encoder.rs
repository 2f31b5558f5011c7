//! Native video encoders, as a transcoder sees them.

use std::sync::Arc;

use millrace_codec::VideoSettings;
use millrace_media::{Fragment, Time};

/// Steers one picture, or what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steering {
    /// A random access point here, inside the group.
    Keyframe,
    /// A new target from here on, in bits per second.
    Bitrate(u32),
    /// The picture is left out; the one before it lasts longer.
    Skip,
}

/// Why an encoder did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// It cannot be done, ever.
    #[error("{0}")]
    Invalid(String),
    /// No backend here does it.
    #[error("{0}")]
    Unsupported(String),
    /// Not now.
    #[error("{0}")]
    Overloaded(String),
    /// The decoder or the encoder failed.
    #[error("{0}")]
    Failed(String),
    /// It has ended.
    #[error("the encoder has ended")]
    Closed,
}

/// The native encoders of one transcoder. They outlive an instance that faults.
#[derive(Clone, Debug)]
pub struct Encoders(());

impl Encoders {
    /// The settings of the transcoder's rendition, never larger than the source; none where it works for no rendition.
    pub fn configured(&self) -> Option<VideoSettings> { unimplemented!() }

    /// Opens the encoder of the output track `name`, or finds the one that an earlier instance opened.
    ///
    /// # Errors
    /// Where the name is taken, the settings are out of range, or no backend does the codec.
    pub fn open(&self, _name: &str, _settings: VideoSettings) -> Result<VideoEncoder, EncodeError> { unimplemented!() }
}

/// A running encoder. Cheap to clone. Pictures never pass through here: it is told which fragments' pictures to encode.
#[derive(Clone, Debug)]
pub struct VideoEncoder(Arc<()>);

impl VideoEncoder {
    /// The pictures of this fragment are to be encoded. Waits while the encoder's queue is full.
    ///
    /// # Errors
    /// Where the decoder or the encoder has failed or ended.
    pub async fn submit(&self, _fragment: &Fragment) -> Result<(), EncodeError> { unimplemented!() }

    /// Applies to the picture presented at `at` and, for a bitrate, to those after it. Ignored once that picture is encoded.
    ///
    /// # Errors
    /// Where a bitrate is out of range, or too much is waiting to be applied.
    pub fn steer(&self, _at: Time, _steering: Steering) -> Result<(), EncodeError> { unimplemented!() }
}
