//! rav1e for pictures of 8 bits.
//!
//! Nearly all of rav1e is generic over the sample's type, so it is compiled in the crate that says which: minutes of work, done here
//! once and not whenever something around it changes.

use rav1e::data::{EncoderStatus, FrameType};
use rav1e::prelude::{Context, FrameParameters, FrameTypeOverride, Opaque};
pub use rav1e::{EncoderConfig, color, config, data, prelude};

/// A running context of the library.
pub struct Encoder(Context<u8>);

/// A temporal unit, with its delimiter.
pub struct Unit {
    /// Its OBUs.
    pub data: Vec<u8>,
    /// The number its picture was sent with.
    pub number: i64,
    /// True of a key frame.
    pub keyframe: bool,
}

/// Why there is no encoder, or no packet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The configuration is not one.
    #[error(transparent)]
    Config(#[from] rav1e::InvalidConfig),
    /// What a call returned.
    #[error(transparent)]
    Status(#[from] EncoderStatus),
    /// A packet without the number its picture was sent with.
    #[error("a packet without its number")]
    Number,
}

impl Encoder {
    /// A context with this configuration.
    ///
    /// # Errors
    /// Where the configuration is not valid.
    pub fn new(config: &config::Config) -> Result<Self, Error> {
        Ok(Self(config.new_context()?))
    }

    /// Sends a picture: its planes Y, Cb, Cr, and the bytes from row to row of each. They hold a picture of the configured size.
    ///
    /// # Errors
    /// Where the end was sent before.
    pub fn send(&mut self, planes: [(&[u8], usize); 3], keyframe: bool, number: i64) -> Result<(), Error> {
        let mut frame = self.0.new_frame();
        for ((bytes, stride), plane) in planes.into_iter().zip(&mut frame.planes) {
            plane.copy_from_raw_u8(bytes, stride, 1);
        }
        let frame_type_override = if keyframe { FrameTypeOverride::Key } else { FrameTypeOverride::No };
        let opaque = Some(Opaque::new(number));
        let parameters = FrameParameters { frame_type_override, opaque, ..FrameParameters::default() };
        Ok(self.0.send_frame((frame, parameters))?)
    }

    /// Says that no picture follows.
    pub fn end(&mut self) {
        self.0.flush();
    }

    /// Encodes and gives the next unit; none where more pictures are needed, or, after the end, where there is no more.
    ///
    /// # Errors
    /// Where the library fails.
    pub fn receive(&mut self) -> Result<Option<Unit>, Error> {
        loop {
            match self.0.receive_packet() {
                Ok(packet) => {
                    let number = packet.opaque.and_then(|opaque| opaque.downcast::<i64>().ok()).ok_or(Error::Number)?;
                    let keyframe = packet.frame_type == FrameType::KEY;
                    return Ok(Some(Unit { data: packet.data, number: *number, keyframe }));
                }
                Err(EncoderStatus::Encoded) => {}
                Err(EncoderStatus::NeedMoreData | EncoderStatus::LimitReached) => return Ok(None),
                Err(status) => return Err(status.into()),
            }
        }
    }
}
