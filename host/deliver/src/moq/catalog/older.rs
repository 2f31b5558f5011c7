//! The catalog of before MSF (draft-ietf-moq-catalogformat-01), as moq-sub reads it.
//!
//! Its readers want one header for all tracks, and tell them apart by a `track_ID` that each has to itself. On the bus a track has a
//! header of its own, and fragments that are not to be rewritten for it: so there is one track in it, the picture, or the sound where
//! there is none.

use bytes::Bytes;
use millrace_media::track::{Format, Kind};
use serde_json::{Value, json};

use super::measured::Listed;
use crate::renditions::Rung as _;

/// The track of the catalog.
pub(super) const NAME: &str = ".catalog";
/// The track of the header, called as moq-pub calls it.
pub(super) const HEADER: &str = "0.mp4";

/// The catalog of `tracks`.
pub(super) fn write(tracks: &[Listed]) -> Bytes {
    let catalog = json!({
        "version": 1,
        "streamingFormat": 1,
        "streamingFormatVersion": "0.2",
        "supportsDeltaUpdates": false,
        "commonTrackFields": { "packaging": "cmaf", "renderGroup": 1 },
        "tracks": chosen(tracks).map(track).into_iter().collect::<Vec<_>>(),
    });
    catalog.to_string().into()
}

/// The header of the one that is listed (`ftyp` and `moov`).
pub(super) fn header(tracks: &[Listed]) -> Bytes {
    chosen(tracks).map(|listed| listed.part.info.init.clone()).unwrap_or_default()
}

/// The first picture of the source, or of the view.
fn chosen(tracks: &[Listed]) -> Option<&Listed> {
    let is_made = |listed: &&Listed| !listed.part.is_source;
    let of = |kind| tracks.iter().filter(move |listed| listed.part.kind() == kind).min_by_key(is_made);
    of(Kind::Video).or_else(|| of(Kind::Audio))
}

fn track(listed: &Listed) -> Value {
    let info = &listed.part.info;
    let mut selection = json!({ "codec": info.codec });
    match info.format {
        Format::Video { width, height, .. } => {
            (selection["width"], selection["height"]) = (width.into(), height.into())
        }
        Format::Audio { sample_rate, channels } => {
            selection["samplerate"] = sample_rate.into();
            selection["channelConfig"] = channels.to_string().into();
        }
        Format::Text | Format::Image { .. } | Format::Data => {}
    }
    if let Some(language) = listed.part.language() {
        selection["lang"] = language.into();
    }
    if let Some(bitrate) = listed.bitrate.and_then(|bitrate| u32::try_from(bitrate).ok()) {
        selection["bitrate"] = bitrate.into();
    }
    json!({ "name": listed.part.name().as_str(), "initTrack": HEADER, "selectionParams": selection })
}
