//! The boxes that stand before a fragment or a segment.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use millrace_media::{Media, Time};
use mp4_atom::{Emsg, EmsgTimestamp, Encode, Prft, ReferenceTime, Styp};

use super::WriteError;
use crate::boxes::Boxes;
use crate::fourcc::{self, FourCC};

/// An event on the media timeline (ISO/IEC 23009-1, 5.10.3.3).
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What kind of message it is: `scheme_id_uri`.
    pub scheme: String,
    /// Tells apart messages of one scheme; its meaning is the scheme's.
    pub value: String,
    /// When it happens, on the broadcast's timeline. Not below zero.
    pub presentation_time: Time,
    /// How long it goes on; none where that is not known.
    pub duration: Option<Time>,
    /// Two events of one scheme, value and id are the same event.
    pub id: u32,
    /// The message.
    pub data: Bytes,
}

/// `emsg` of version 1.
///
/// # Errors
/// Where the event is before zero, or too long to be written.
pub fn emsg(event: &Event) -> Result<Bytes, WriteError> {
    let scale = event.presentation_time.scale();
    let encode = |source| WriteError::Encode { kind: fourcc::EMSG, source };
    let unwritable = || encode(mp4_atom::Error::InvalidSize);
    // A text ends at its first zero byte.
    if event.scheme.contains('\0') || event.value.contains('\0') {
        return Err(unwritable());
    }
    let presentation_time = u64::try_from(event.presentation_time.ticks()).map_err(|_| unwritable())?;
    let emsg = Emsg {
        timescale: scale.get(),
        presentation_time: EmsgTimestamp::Absolute(presentation_time),
        // All ones where it is not known.
        event_duration: match event.duration {
            Some(duration) => u32::try_from(duration.rescale(scale).ticks()).map_err(|_| unwritable())?,
            None => u32::MAX,
        },
        id: event.id,
        scheme_id_uri: event.scheme.clone(),
        value: event.value.clone(),
        message_data: event.data.to_vec(),
    };
    let mut out = BytesMut::new();
    emsg.encode(&mut out).map_err(encode)?;
    Ok(out.freeze())
}

/// The media with an event before its `moof`, after those that it has already. Its payload is shared, nothing else changes.
///
/// # Errors
/// As [`emsg`].
pub fn with_event(media: &Media, event: &Event) -> Result<Media, WriteError> {
    let emsg = emsg(event)?;
    let boxes = Boxes::new(&media.head, 0, FourCC::new(b"file")).map_while(Result::ok);
    let at =
        boxes.take_while(|found| found.kind != fourcc::MOOF).last().map_or(0, |last| last.start + last.whole.len());
    let (before, after) = media.head.split_at(at);
    Ok(Media { head: [before, &emsg, after].concat().into(), ..media.clone() })
}

/// `prft`: the media that is decoded at `media_time` was taken in by the encoder at `time`, since the Unix epoch (ISO/IEC 14496-12,
/// 8.16.5; flags 0).
///
/// # Errors
/// Where the media time is below zero.
pub fn prft(track_id: u32, time: Duration, media_time: Time) -> Result<Bytes, WriteError> {
    let encode = |source| WriteError::Encode { kind: fourcc::PRFT, source };
    let prft = Prft {
        reference_track_id: track_id,
        ntp_timestamp: crate::ntp::from_unix(time),
        media_time: u64::try_from(media_time.ticks()).map_err(|_| encode(mp4_atom::Error::InvalidSize))?,
        utc_time_semantics: ReferenceTime::Input,
    };
    let mut out = BytesMut::new();
    prft.encode(&mut out).map_err(encode)?;
    Ok(out.freeze())
}

/// `styp` of these brands, the first of which is the major: `msdh` and `cmfs` for a segment, `cmfl` for a chunk, `lmsg` for the last
/// segment (ISO/IEC 23000-19, 7.3.3). Without any it is a segment's: `msdh` and `cmfs`.
pub fn styp(brands: &[&[u8; 4]]) -> Bytes {
    let segment: &[&[u8; 4]] = &[b"msdh", b"cmfs"];
    let brands = if brands.is_empty() { segment } else { brands };
    let styp = Styp {
        major_brand: FourCC::new(brands[0]),
        minor_version: 0,
        compatible_brands: brands.iter().map(|brand| FourCC::new(brand)).collect(),
    };
    let mut out = BytesMut::new();
    // As many brands as would not fit a box do not fit in memory either.
    let _ = styp.encode(&mut out);
    out.freeze()
}
