//! H.264 as it stands in ISO files and as encoders give it: NAL units, sequence parameter sets and the `avcC` box (ITU-T H.264, and
//! ISO/IEC 14496-15, 5.3).

mod record;
mod sequence;
mod units;

pub use record::{read_record, write_record};
pub use sequence::Sequence;
pub use units::{Unit, annex_b, is_annex_b, length_prefixed, with_lengths};

/// H.264 that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AvcError {
    /// The bytes end before what they announce.
    #[error("cut short: {0}")]
    Short(&'static str),
    /// A configuration record of an unknown kind.
    #[error("an avcC of version {0} (expected 1)")]
    Version(u8),
    /// Lengths of three bytes do not exist.
    #[error("NAL units with lengths of {0} bytes (expected 1, 2 or 4)")]
    LengthSize(usize),
    /// There is no parameter set.
    #[error("no {0}")]
    Missing(&'static str),
    /// A sequence parameter set is broken.
    #[error("the sequence parameter set cannot be read: {0}")]
    Sequence(String),
    /// A picture in more pieces than any encoder makes.
    #[error("a picture in more than {0} NAL units")]
    TooManyUnits(usize),
}
