//! Which tracks of a broadcast are written.

use anyhow::{bail, ensure};
use bytes::Bytes;
use clap::Args;
use hang::catalog::{Catalog, Container};

/// Which tracks are wanted.
#[derive(Args, Clone, Debug, Default)]
pub struct Choice {
    /// This track alone, whatever it is
    #[arg(long, value_name = "NAME", conflicts_with_all = ["video", "audio"])]
    pub track: Option<String>,
    /// This video track; without it, the largest picture
    #[arg(long, value_name = "NAME")]
    pub video: Option<String>,
    /// This audio track; without it, the first
    #[arg(long, value_name = "NAME")]
    pub audio: Option<String>,
}

/// A track that a broadcast offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) name: String,
    is_video: bool,
    /// Of the picture, in pixels; then bits per second.
    size: (u64, u64),
    /// The CMAF header, or what it is packed in instead.
    container: Result<Bytes, String>,
}

/// A track that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) name: String,
    /// Its CMAF header.
    pub(super) init: Bytes,
}

/// What a catalog offers.
pub(super) fn offers(catalog: &Catalog) -> Vec<Offer> {
    let video = catalog.video.renditions.iter().map(|(name, config)| {
        let pixels = u64::from(config.coded_width.unwrap_or(0)) * u64::from(config.coded_height.unwrap_or(0));
        let size = (pixels, config.bitrate.unwrap_or(0));
        Offer { name: name.clone(), is_video: true, size, container: header(&config.container) }
    });
    let audio = catalog.audio.renditions.iter().map(|(name, config)| {
        let size = (0, config.bitrate.unwrap_or(0));
        Offer { name: name.clone(), is_video: false, size, container: header(&config.container) }
    });
    video.chain(audio).collect()
}

fn header(container: &Container) -> Result<Bytes, String> {
    match container {
        Container::Cmaf { init } => Ok(init.clone()),
        Container::Legacy => Err("hang's own container".into()),
        Container::Loc => Err("LOC".into()),
        Container::Unknown(unknown) => Err(unknown.kind().unwrap_or("an unknown container").to_owned()),
    }
}

/// Whether both pictures and sound are offered, so that nothing better is to be waited for.
pub(super) fn is_complete(offers: &[Offer]) -> bool {
    [true, false].iter().all(|is_video| offers.iter().any(|offer| offer.is_video == *is_video))
}

impl Choice {
    /// The tracks that are wanted: a picture and its sound, or one of them where there is no other, or the one that is named.
    ///
    /// # Errors
    /// Where one that is named is not there, none is, or one is not CMAF; with those that there are.
    pub(super) fn of(&self, offers: &[Offer]) -> anyhow::Result<Vec<Chosen>> {
        let named = |name: &str, is_video: Option<bool>| {
            let found =
                offers.iter().find(|offer| offer.name == name && is_video.is_none_or(|is| offer.is_video == is));
            found.ok_or_else(|| {
                let kind = is_video.map_or("", |is_video| if is_video { "video " } else { "audio " });
                anyhow::anyhow!("there is no {kind}track `{name}`, but {}", listed(offers))
            })
        };
        let chosen = match &self.track {
            Some(name) => vec![named(name, None)?],
            None => {
                let video = match &self.video {
                    Some(name) => Some(named(name, Some(true))?),
                    None => offers.iter().filter(|offer| offer.is_video).max_by_key(|offer| offer.size),
                };
                let audio = match &self.audio {
                    Some(name) => Some(named(name, Some(false))?),
                    None => offers.iter().find(|offer| !offer.is_video),
                };
                video.into_iter().chain(audio).collect()
            }
        };
        ensure!(!chosen.is_empty(), "the broadcast has no track yet");
        let write = |offer: &Offer| match &offer.container {
            Ok(init) => Ok(Chosen { name: offer.name.clone(), init: init.clone() }),
            Err(other) => bail!(
                "track `{}` is packed in {other}, and CMAF alone is written here: a Millrace server that it is published to offers it as CMAF",
                offer.name
            ),
        };
        chosen.into_iter().map(write).collect()
    }
}

fn listed(offers: &[Offer]) -> String {
    let named = |offer: &Offer| format!("`{}` ({})", offer.name, if offer.is_video { "video" } else { "audio" });
    match offers {
        [] => "none at all".into(),
        offers => offers.iter().map(named).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers() -> Vec<Offer> {
        let catalog = r#"{
            "video": { "renditions": {
                "240p": { "codec": "avc1.42c00d", "codedWidth": 426, "codedHeight": 240, "container": { "kind": "cmaf", "init": "AQ==" } },
                "video": { "codec": "avc1.42c01f", "codedWidth": 1280, "codedHeight": 720, "container": { "kind": "cmaf", "init": "Ag==" } }
            } },
            "audio": { "renditions": {
                "audio": { "codec": "opus", "sampleRate": 48000, "numberOfChannels": 2, "container": { "kind": "cmaf", "init": "Aw==" } },
                "camera": { "codec": "opus", "sampleRate": 48000, "numberOfChannels": 2, "container": { "kind": "loc" } }
            } }
        }"#;
        super::offers(&Catalog::from_str(catalog).unwrap())
    }

    fn chosen(choice: &Choice) -> Result<Vec<String>, String> {
        let chosen = choice.of(&offers()).map_err(|error| error.to_string())?;
        Ok(chosen.into_iter().map(|chosen| format!("{} {}", chosen.name, chosen.init[0])).collect())
    }

    fn some(name: &str) -> Option<String> {
        Some(name.into())
    }

    #[test]
    fn the_largest_picture_and_the_first_sound_are_taken() {
        assert!(is_complete(&offers()));
        assert_eq!(chosen(&Choice::default()).unwrap(), ["video 2", "audio 3"]);
    }

    #[test]
    fn tracks_are_taken_by_their_names() {
        let rung = Choice { video: some("240p"), ..Choice::default() };
        assert_eq!(chosen(&rung).unwrap(), ["240p 1", "audio 3"]);
        let alone = Choice { track: some("audio"), ..Choice::default() };
        assert_eq!(chosen(&alone).unwrap(), ["audio 3"]);
    }

    #[test]
    fn what_is_not_there_is_answered_with_what_is() {
        let missing = chosen(&Choice { track: some("480p"), ..Choice::default() }).unwrap_err();
        assert_eq!(
            missing,
            "there is no track `480p`, but `240p` (video), `video` (video), `audio` (audio), `camera` (audio)"
        );
        let mixed = chosen(&Choice { video: some("audio"), ..Choice::default() }).unwrap_err();
        assert!(mixed.starts_with("there is no video track `audio`"), "{mixed}");
        let loc = chosen(&Choice { audio: some("camera"), ..Choice::default() }).unwrap_err();
        assert!(loc.contains("packed in LOC"), "{loc}");
        assert!(Choice::default().of(&[]).unwrap_err().to_string().contains("no track yet"));
    }
}
