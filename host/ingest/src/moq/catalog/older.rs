//! Catalogs of the format before MSF (draft-ietf-moq-catalogformat-01), as moq-pub writes them: CMAF tracks, whose header is the first
//! object of a track that several may share. What holds for all tracks may stand in `commonTrackFields`; moq-pub leaves out
//! `packaging` altogether, which then is CMAF.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Catalog, CatalogError, Codec, Coding, Container, Described, Framing, Init, base64, check_shared, check_tracks,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Root {
    #[serde(default)]
    common_track_fields: Fields,
    tracks: Vec<Track>,
}

#[derive(Deserialize)]
struct Track {
    name: String,
    #[serde(flatten)]
    fields: Fields,
    #[serde(default, rename = "selectionParams")]
    selection: Selection,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Fields {
    packaging: Option<String>,
    init_track: Option<String>,
    init_data: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Selection {
    codec: Option<String>,
    framerate: Option<f32>,
    bitrate: Option<u32>,
    samplerate: Option<u32>,
    channel_config: Option<String>,
    lang: Option<String>,
}

/// What holds for all tracks counts as if each had it itself, and is at most `limit` bytes long.
pub(super) fn read(value: &Value, limit: usize) -> Result<Catalog, CatalogError> {
    check_tracks(value.get("tracks"))?;
    let root: Root = serde_json::from_value(value.clone())?;
    let common = root.common_track_fields.init_data.as_deref().unwrap_or_default();
    let sharing = root.tracks.iter().filter(|track| track.fields.init_data.is_none());
    check_shared(sharing.map(|_| common.len()), limit)?;
    let mut tracks = Catalog::default();
    for track in &root.tracks {
        tracks.add(&track.name, track.describe(&root.common_track_fields));
    }
    Ok(tracks)
}

impl Track {
    fn describe(&self, common: &Fields) -> Result<Described, String> {
        let either = |pick: fn(&Fields) -> &Option<String>| pick(&self.fields).as_deref().or(pick(common).as_deref());
        let data = either(|fields| &fields.init_data).map(base64).transpose()?;
        let container = match either(|fields| &fields.packaging).unwrap_or("cmaf") {
            "cmaf" => Container::Cmaf(match (data, either(|fields| &fields.init_track)) {
                (Some(data), _) => Init::Inline(data),
                (None, Some(track)) => Init::Track(track.to_owned()),
                (None, None) => Init::InBand,
            }),
            "loc" => {
                let selection = &self.selection;
                let coding = Coding {
                    codec: Codec::of(selection.codec.as_deref().unwrap_or_default())?,
                    description: data,
                    sample_rate: selection.samplerate,
                    channels: selection.channel_config.as_deref().and_then(|channels| channels.parse().ok()),
                    frame_rate: selection.framerate,
                    bitrate: selection.bitrate,
                };
                Container::Frames(Framing::Loc, coding)
            }
            other => return Err(format!("the packaging {other} is not taken: cmaf and loc are")),
        };
        Ok(Described { name: self.name.clone(), container, language: self.selection.lang.clone() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_catalog_of_moq_pub() {
        let catalog = read(&json!({
            "version": 1, "streamingFormat": 1, "streamingFormatVersion": "0.2", "supportsDeltaUpdates": true,
            "commonTrackFields": {"namespace": "/live/me", "packaging": "cmaf", "renderGroup": 1},
            "tracks": [
                {"name": "1.m4s", "initTrack": "0.mp4", "selectionParams": {"codec": "avc1.64001f", "mimeType": null,
                    "framerate": null, "bitrate": null, "width": 320, "height": 180}},
                {"name": "2.m4s", "initTrack": "0.mp4", "selectionParams": {"codec": "mp4a.40.2", "samplerate": 48000,
                    "channelConfig": "1"}},
            ],
        }), 1 << 20)
        .unwrap();
        let expected = Container::Cmaf(Init::Track("0.mp4".to_owned()));
        let found: Vec<_> = catalog.tracks.iter().map(|track| (track.name.as_str(), &track.container)).collect();
        assert_eq!(found, [("1.m4s", &expected), ("2.m4s", &expected)]);
    }
}
