//! The MSF catalog (draft-ietf-moq-msf), with CMAF packaging (draft-ietf-moq-cmsf).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use millrace_media::track::{Format, Kind, Role as Purpose};
use moq_msf::{Catalog, Packaging, Role, Track};
use serde_json::{Value, json};

use super::WriteError;
use super::measured::Listed;
use crate::moq::events;
use crate::moq::view::Part;
use crate::renditions::Rung as _;

/// Everything of a broadcast is shown together.
const RENDER_GROUP: u32 = 1;
/// Groups of pictures begin with a stream access point of this type at the most (draft-ietf-moq-cmsf, 3.5.2).
const PICTURES_SAP: u8 = 2;
/// The language of a track (draft-ietf-moq-msf), for which [`Track`] has no field.
const LANGUAGE: &str = "lang";
/// The name of the event timeline.
pub(super) const EVENTS: &str = "events";
/// Every frame of sound is one of this type.
const SOUND_SAP: u8 = 1;

/// The catalog of `tracks`, and of the event timeline where there are events, made at `unix_millis` since the Unix epoch.
///
/// # Errors
/// Where the format cannot say what a track is.
pub(super) fn write(tracks: &[Listed], has_events: bool, unix_millis: u64) -> Result<Bytes, WriteError> {
    let described = tracks.iter().map(|listed| track(listed, alternatives(&listed.part, tracks)));
    let mut catalog = Catalog::new(described.collect());
    catalog.generated_at = Some(unix_millis);
    let mut written = serde_json::to_value(&catalog)?;
    if let Some(written) = written.get_mut("tracks").and_then(Value::as_array_mut) {
        for (track, listed) in written.iter_mut().zip(tracks) {
            if let Some(language) = listed.part.language() {
                track[LANGUAGE] = language.into();
            }
        }
        if has_events {
            let depends: Vec<_> = tracks.iter().map(|listed| listed.part.name().as_str()).collect();
            let (packaging, kind) = (Packaging::EventTimeline.to_string(), events::EVENT_TYPE);
            // The fields that tell of a timeline, for which there are none in the type.
            written.push(json!({
                "name": EVENTS,
                "packaging": packaging,
                "eventType": kind,
                "mimeType": "application/json",
                "isLive": true,
                "depends": depends,
            }));
        }
    }
    Ok(serde_json::to_vec(&written)?.into())
}

fn track(listed: &Listed, alternatives: u32) -> Track {
    let info = &listed.part.info;
    let mut track = Track::new(listed.part.name().as_str(), Packaging::Cmaf);
    track.is_live = true;
    track.render_group = Some(RENDER_GROUP);
    track.alt_group = Some(alternatives);
    track.codec = Some(info.codec.clone());
    (track.bitrate, track.jitter) = (listed.bitrate, listed.held_back);
    track.init_data = Some(STANDARD.encode(&info.init));
    // The format has few roles. Those that it has no word for are called by their kind, which players look for.
    let purpose = listed.part.role();
    match info.format {
        Format::Video { width, height, frame_rate } => {
            track.role = Some(if purpose == Some(Purpose::Sign) { Role::SignLanguage } else { Role::Video });
            (track.width, track.height) = (Some(width), Some(height));
            track.framerate = frame_rate.map(f64::from);
            track.max_grp_sap_starting_type = Some(PICTURES_SAP);
        }
        Format::Audio { sample_rate, channels } => {
            let describes = purpose == Some(Purpose::Description);
            track.role = Some(if describes { Role::AudioDescription } else { Role::Audio });
            track.samplerate = Some(sample_rate);
            track.channel_config = Some(channels.to_string());
            track.max_grp_sap_starting_type = Some(SOUND_SAP);
        }
        Format::Text | Format::Image { .. } | Format::Data => {}
    }
    track
}

/// The number of the set that a track is one choice of: a track of the source and what was made from it, whose groups begin at the same
/// times and are numbered alike.
fn alternatives(part: &Part, tracks: &[Listed]) -> u32 {
    let from = |part: &Part| part.choice_of.clone();
    let mut roots: Vec<_> = Vec::new();
    // Pictures first, so that theirs is the first set.
    for kind in [Kind::Video, Kind::Audio] {
        let parts = tracks.iter().map(|listed| &listed.part);
        for root in parts.filter(|part| part.kind() == kind).map(from) {
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
    }
    let root = from(part);
    let at = roots.iter().position(|other| *other == root).unwrap_or(0);
    u32::try_from(at).map_or(u32::MAX, |at| at + 1)
}
