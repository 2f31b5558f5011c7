//! What may stand in a fragment's place.

use millrace_media::track::Kind;
use millrace_media::{Fragment, Media, Time};

/// Why a replacement is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("it has {given} bytes (expected at most {most})")]
    TooLarge { given: u64, most: u64 },
    #[error("it counts its time in {given} ticks a second (expected {expected})")]
    Timescale { given: u32, expected: u32 },
    #[error("it is decoded at {given} (expected {expected})")]
    DecodeTime { given: Time, expected: Time },
    #[error("it lasts {given} (expected {expected})")]
    Duration { given: Time, expected: Time },
    #[error("it is no keyframe, and begins a group of video")]
    NoKeyframe,
}

/// Checks that `by` can stand in the place of `fragment`, a fragment of a track of this `kind`, where fragments have at most so many bytes.
pub(super) fn check(kind: Kind, fragment: &Fragment, by: &Media, most: u64) -> Result<(), Unfit> {
    let given = by.size();
    if given > most {
        return Err(Unfit::TooLarge { given, most });
    }
    let (given, expected) = (by.decode_time.scale().get(), fragment.decode_time.scale().get());
    if given != expected {
        return Err(Unfit::Timescale { given, expected });
    }
    let (given, expected) = (by.decode_time, fragment.decode_time);
    if given != expected {
        return Err(Unfit::DecodeTime { given, expected });
    }
    let (given, expected) = (by.duration, fragment.duration);
    if given != expected {
        return Err(Unfit::Duration { given, expected });
    }
    if kind == Kind::Video && fragment.marks.keyframe && !by.marks.keyframe {
        return Err(Unfit::NoKeyframe);
    }
    Ok(())
}
