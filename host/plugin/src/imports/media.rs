//! `interface media`, all but fragments: what a plugin says about itself, and what it is told.

use std::sync::Arc;

use millrace_media::track::{Format, Kind};
use millrace_transcode::Rendition;
use millrace_transcode::factory::{Gap, Reason, Scope, SourceTrack};
use wasmtime::component::Resource;

use super::Outcome;
use crate::bindings::millrace::plugin::media::{
    Host, HostContext, HostDescription, HostLoss, HostRendition, HostTrack,
};
use crate::bindings::millrace::plugin::types::{Error, Ratio, Size, TrackKind};
use crate::hook::Hook;
use crate::state::State;
use crate::text::tidy;

/// The longest summary, in bytes.
const MAX_SUMMARY: usize = 200;

/// What a plugin has said about itself so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) summary: String,
    pub(crate) transcoder: Wishes,
    pub(crate) filter: Wishes,
}

/// What a hook wants to be given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// The kinds of track.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) scope: Scope,
}

impl Described {
    /// The wishes of a hook that has tracks.
    fn of(&mut self, hook: Hook) -> Option<&mut Wishes> {
        match hook {
            Hook::Transcoder => Some(&mut self.transcoder),
            Hook::Filter => Some(&mut self.filter),
            Hook::Access => None,
        }
    }
}

/// Collects what a plugin says about itself.
#[derive(Debug, Default)]
pub struct DescriptionHandle(pub(crate) Described);

/// What an instance is started for; the store knows the rest.
#[derive(Debug)]
pub struct ContextHandle;

/// A rung of the ladder.
#[derive(Debug)]
pub struct RenditionHandle(pub(crate) Arc<Rendition>);

/// A track of the source.
#[derive(Debug)]
pub struct TrackHandle(pub(crate) SourceTrack);

/// Fragments that are missing.
#[derive(Debug)]
pub struct LossHandle(pub(crate) Gap);

impl State {
    /// What a hook of the plugin wants.
    fn wishes(&mut self, description: &Resource<DescriptionHandle>, hook: &str) -> Outcome<&mut Wishes> {
        let unsupported =
            |why| Err(Error::Unsupported(format!("{why} hook {:?} (expected transcoder or filter)", tidy(hook))));
        let Some(known) = Hook::of(hook) else { return Ok(unsupported("unknown")) };
        if !self.plugin.hooks.has(known) {
            return Ok(Err(Error::Invalid(format!("the plugin does not export the hook {hook}"))));
        }
        let described = &mut self.table.get_mut(description)?.0;
        Ok(described.of(known).map_or_else(|| unsupported("there are no tracks for the"), Ok))
    }
}

impl Host for State {}

impl HostDescription for State {
    fn want(&mut self, description: Resource<DescriptionHandle>, hook: String, kind: TrackKind) -> Outcome<()> {
        Ok(self.wishes(&description, &hook)?.map(|wishes| {
            let kind = kind.into();
            if !wishes.kinds.contains(&kind) {
                wishes.kinds.push(kind);
            }
        }))
    }

    fn set_scope(&mut self, description: Resource<DescriptionHandle>, hook: String, scope: String) -> Outcome<()> {
        let is_transcoder = hook == Hook::Transcoder.as_str();
        Ok(self.wishes(&description, &hook)?.and_then(|wishes| {
            wishes.scope = match scope.as_str() {
                "track" => Scope::Track,
                "rendition" if is_transcoder => Scope::Rendition,
                "broadcast" => Scope::Broadcast,
                other => {
                    let expected = if is_transcoder { "track, rendition or broadcast" } else { "track or broadcast" };
                    let other = tidy(other);
                    return Err(Error::Unsupported(format!("unknown scope {other:?} (expected {expected})")));
                }
            };
            Ok(())
        }))
    }

    fn set_summary(&mut self, description: Resource<DescriptionHandle>, text: String) -> Outcome<()> {
        let described = &mut self.table.get_mut(&description)?.0;
        if text.is_empty() || text.len() > MAX_SUMMARY || text.contains(char::is_control) {
            let text = tidy(&text);
            return Ok(Err(Error::Invalid(format!(
                "invalid summary {text:?} (expected 1 to {MAX_SUMMARY} bytes on one line)"
            ))));
        }
        described.summary = text;
        Ok(Ok(()))
    }

    fn drop(&mut self, description: Resource<DescriptionHandle>) -> wasmtime::Result<()> {
        self.table.delete(description)?;
        Ok(())
    }
}

impl State {
    /// Functions that cannot fail in the contract: a guest that has filled its table with handles ends here.
    pub(super) fn push_or_end<T: Send + 'static>(&mut self, entry: T) -> wasmtime::Result<Resource<T>> {
        Ok(self.table.push(entry)?)
    }
}

impl HostContext for State {
    fn broadcast(&mut self, _: Resource<ContextHandle>) -> wasmtime::Result<String> {
        Ok(self.purpose().broadcast().map(ToString::to_string).unwrap_or_default())
    }

    fn settings(&mut self, _: Resource<ContextHandle>) -> wasmtime::Result<String> {
        Ok(self.plugin.settings.clone())
    }

    fn rendition(&mut self, _: Resource<ContextHandle>) -> wasmtime::Result<Option<Resource<RenditionHandle>>> {
        let rendition = self.purpose().rendition().cloned();
        rendition.map(|rendition| self.push_or_end(RenditionHandle(rendition))).transpose()
    }

    fn renditions(&mut self, _: Resource<ContextHandle>) -> wasmtime::Result<Vec<Resource<RenditionHandle>>> {
        let renditions = self.purpose().renditions().to_vec();
        renditions.into_iter().map(|rendition| self.push_or_end(RenditionHandle(rendition))).collect()
    }

    fn reason(&mut self, _: Resource<ContextHandle>) -> wasmtime::Result<String> {
        Ok(match self.purpose().reason() {
            Reason::Fresh => "fresh",
            Reason::AfterFault => "after-fault",
            Reason::Reloaded => "reloaded",
        }
        .to_owned())
    }

    fn drop(&mut self, context: Resource<ContextHandle>) -> wasmtime::Result<()> {
        self.table.delete(context)?;
        Ok(())
    }
}

impl HostRendition for State {
    fn name(&mut self, rendition: Resource<RenditionHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&rendition)?.0.name.to_string())
    }

    fn size(&mut self, rendition: Resource<RenditionHandle>) -> wasmtime::Result<Size> {
        let video = &self.table.get(&rendition)?.0.video;
        Ok(Size { width: video.width, height: video.height })
    }

    fn bitrate(&mut self, rendition: Resource<RenditionHandle>) -> wasmtime::Result<Option<u32>> {
        Ok(self.table.get(&rendition)?.0.video.bitrate)
    }

    fn drop(&mut self, rendition: Resource<RenditionHandle>) -> wasmtime::Result<()> {
        self.table.delete(rendition)?;
        Ok(())
    }
}

impl HostTrack for State {
    fn id(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&track)?.0.id)
    }

    fn name(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&track)?.0.track.name().to_string())
    }

    fn kind(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<TrackKind> {
        Ok(self.table.get(&track)?.0.info.kind().into())
    }

    fn codec(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&track)?.0.info.codec.clone())
    }

    fn timescale(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&track)?.0.info.timescale.get())
    }

    fn size(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<Option<Size>> {
        Ok(match self.table.get(&track)?.0.info.format {
            Format::Video { width, height, .. } => Some(Size { width, height }),
            _ => None,
        })
    }

    fn display_size(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<Option<Size>> {
        let info = &self.table.get(&track)?.0.info;
        let is_video = info.kind() == Kind::Video;
        let size = is_video.then(|| millrace_cmaf::display_size(&info.init)).flatten();
        Ok(size.map(|(width, height)| Size { width, height }))
    }

    fn frame_rate(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<Option<Ratio>> {
        Ok(match self.table.get(&track)?.0.info.format {
            Format::Video { frame_rate, .. } => frame_rate.and_then(ratio),
            _ => None,
        })
    }

    fn sample_rate(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<Option<u32>> {
        Ok(match self.table.get(&track)?.0.info.format {
            Format::Audio { sample_rate, .. } => Some(sample_rate),
            _ => None,
        })
    }

    fn channels(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<Option<u16>> {
        Ok(match self.table.get(&track)?.0.info.format {
            Format::Audio { channels, .. } => Some(channels),
            _ => None,
        })
    }

    fn bitrate(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<Option<u32>> {
        let source = &self.table.get(&track)?.0;
        Ok(source.info.bitrate.or_else(|| self.measured_bitrate(source.id)))
    }

    fn language(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&track)?.0.info.language.clone())
    }

    fn init_segment(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.table.get(&track)?.0.info.init.to_vec())
    }

    fn drop(&mut self, track: Resource<TrackHandle>) -> wasmtime::Result<()> {
        self.table.delete(track)?;
        Ok(())
    }
}

impl HostLoss for State {
    fn track(&mut self, loss: Resource<LossHandle>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&loss)?.0.track)
    }

    fn next_group(&mut self, loss: Resource<LossHandle>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&loss)?.0.next.0)
    }

    fn skipped(&mut self, loss: Resource<LossHandle>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&loss)?.0.skipped)
    }

    fn cause(&mut self, loss: Resource<LossHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&loss)?.0.cause.as_str().to_owned())
    }

    fn drop(&mut self, loss: Resource<LossHandle>) -> wasmtime::Result<()> {
        self.table.delete(loss)?;
        Ok(())
    }
}

/// A frame rate as a fraction: of 1001 where it is one of those, else of 1 or 1000.
fn ratio(rate: f32) -> Option<Ratio> {
    let rate = f64::from(rate);
    if !(0.001..=1_000_000.0).contains(&rate) {
        return None;
    }
    let of = |denominator: u32| {
        let numerator = (rate * f64::from(denominator)).round();
        let near = (numerator / f64::from(denominator) - rate).abs() <= rate * 1e-6;
        near.then_some(Ratio { numerator: numerator as u32, denominator })
    };
    let ntsc = || {
        let whole = (rate * 1.001).round();
        let near = (whole / 1.001 - rate).abs() <= rate * 1e-6;
        near.then_some(Ratio { numerator: (whole * 1000.0) as u32, denominator: 1001 })
    };
    of(1).or_else(ntsc).or(Some(Ratio { numerator: (rate * 1000.0).round() as u32, denominator: 1000 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_rates_are_the_fractions_they_were() {
        for (rate, numerator, denominator) in [
            (30.0, 30, 1),
            (29.970_03, 30_000, 1001),
            (23.976_025, 24_000, 1001),
            (59.940_06, 60_000, 1001),
            (12.5, 12_500, 1000),
            (0.5, 500, 1000),
        ] {
            let Ratio { numerator: n, denominator: d } = ratio(rate).unwrap();
            assert_eq!((n, d), (numerator, denominator), "{rate}");
        }
        for rate in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(ratio(rate).is_none(), "{rate}");
        }
    }
}
