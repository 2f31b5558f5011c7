//! AV1 as it stands in ISO files: open bitstream units, sequence headers and the `av1C` box (AV1 Bitstream & Decoding Process, and
//! AV1 Codec ISO Media File Format Binding).

mod bits;
mod obu;
mod record;
mod sequence;

pub use obu::{Obu, obus};
pub use record::{read_record, write_record};
pub use sequence::{ColourDescription, SequenceHeader};

/// AV1 that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Av1Error {
    /// The bytes end before what they announce.
    #[error("cut short: {0}")]
    Short(&'static str),
    /// `obu_forbidden_bit` is set.
    #[error("an OBU header of {0:#04x}, with its forbidden bit set")]
    Forbidden(u8),
    /// A length in more than eight bytes, or beyond 32 bits.
    #[error("the size of an OBU takes more than 32 bits")]
    Size,
    /// A configuration record of an unknown kind.
    #[error("an av1C that begins with {0:#04x} (expected 0x81: marker and version 1)")]
    Version(u8),
    /// There is no sequence header.
    #[error("no sequence header OBU")]
    NoSequenceHeader,
    /// A profile that the standard reserves.
    #[error("AV1 profile {0} is reserved (expected 0, 1 or 2)")]
    Profile(u8),
}
