//! The MSF catalog (draft-ietf-moq-msf), with CMAF packaging (draft-ietf-moq-cmsf).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use millrace_media::track::{Format, Kind};
use moq_msf::{Catalog, Packaging, Role, Track};

use super::WriteError;
use super::measured::Listed;
use crate::moq::view::Part;
use crate::renditions::Rung as _;

/// Everything of a broadcast is shown together.
const RENDER_GROUP: u32 = 1;
/// Groups of pictures begin with a stream access point of this type at the most (draft-ietf-moq-cmsf, 3.5.2).
const PICTURES_SAP: u8 = 2;
/// Every frame of sound is one of this type.
const SOUND_SAP: u8 = 1;

/// The catalog of `tracks`, made at `unix_millis` since the Unix epoch.
///
/// # Errors
/// Where the format cannot say what a track is.
pub(super) fn write(tracks: &[Listed], unix_millis: u64) -> Result<Bytes, WriteError> {
    let tracks = tracks.iter().map(|listed| track(listed, alternatives(&listed.part, tracks)));
    let mut catalog = Catalog::new(tracks.collect());
    catalog.generated_at = Some(unix_millis);
    Ok(catalog.to_json()?.into())
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
    match info.format {
        Format::Video { width, height, frame_rate } => {
            track.role = Some(Role::Video);
            (track.width, track.height) = (Some(width), Some(height));
            track.framerate = frame_rate.map(f64::from);
            track.max_grp_sap_starting_type = Some(PICTURES_SAP);
        }
        Format::Audio { sample_rate, channels } => {
            track.role = Some(Role::Audio);
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
    let from = |part: &Part| part.made_from().unwrap_or_else(|| part.name()).clone();
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
