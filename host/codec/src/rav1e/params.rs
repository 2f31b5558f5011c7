//! The library's knobs, as the table on [`VideoSettings`](crate::VideoSettings) lists them.

use millrace_rav1e::color::{
    ColorDescription, ColorPrimaries, MatrixCoefficients, PixelRange, TransferCharacteristics,
};
use millrace_rav1e::config::SpeedSettings;
use millrace_rav1e::data::Rational;
use millrace_rav1e::prelude::{Config, EncoderConfig, SceneDetectionSpeed};
use num_traits::FromPrimitive;

use crate::av1::{Level, describable};
use crate::encode::EncodeError;
use crate::picture::{Colour, Size};
use crate::settings::{Quality, Speed, VideoSettings};

/// Seconds over which rate control evens out what it spends: a keyframe costs many pictures, and comes when it is asked for.
const RESERVOIR_SECONDS: f32 = 3.0;
/// What the library takes for it, in pictures.
const RESERVOIR_PICTURES: (i32, i32) = (12, 131_072);
/// More tiles cost quality and bring no speed.
const MAX_TILES: u16 = 8;
/// Luma samples a tile has at least: smaller ones take more to code than they bring in speed.
const MIN_TILE_SAMPLES: usize = 320 * 180;
/// So many parts of a picture a second, for rates that are not whole.
const RATE_SCALE: f32 = 1000.0;

/// What does not change while an encoder lives, so that its sequence header does not.
pub(super) struct Params {
    settings: VideoSettings,
    size: Size,
    level: Option<Level>,
    colour: Option<(ColorDescription, PixelRange)>,
}

impl Params {
    pub(super) fn new(settings: &VideoSettings, size: Size) -> Result<Self, EncodeError> {
        let level = Level::lowest(size, settings.frame_rate, settings.bitrate);
        let colour = settings.colour.map(describable).transpose()?.map(description);
        Ok(Self { settings: settings.clone(), size, level, colour })
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// The configuration of a context, for a bitrate and pictures per second that may have changed since the one before.
    pub(super) fn config(&self, bitrate: Option<u32>, frame_rate: f32) -> Config {
        let settings = &self.settings;
        let mut config = EncoderConfig {
            width: self.size.width() as usize,
            height: self.size.height() as usize,
            time_base: Rational { num: RATE_SCALE as u64, den: (frame_rate * RATE_SCALE) as u64 },
            low_latency: true,
            level_idx: self.level.map(Level::index),
            tiles: tiles(settings.threads, self.size),
            speed_settings: speed(settings.speed),
            ..EncoderConfig::default()
        };
        // Keyframes where they are asked for: none of its own, and none too close to another.
        config.set_key_frame_interval(0, 0);
        let reservoir = (frame_rate * RESERVOIR_SECONDS) as i32;
        config.reservoir_frame_delay = Some(reservoir.clamp(RESERVOIR_PICTURES.0, RESERVOIR_PICTURES.1));
        if let Some((description, range)) = self.colour {
            config.color_description = Some(description);
            config.pixel_range = range;
        }
        match bitrate {
            Some(bitrate) => {
                config.bitrate = bitrate as i32;
                config.quantizer = 255;
            }
            None => {
                config.quantizer = match settings.quality {
                    Quality::VisuallyLossless => 80,
                    Quality::High => 108,
                    Quality::Standard => 128,
                    Quality::Low => 152,
                };
            }
        }
        Config::new().with_encoder_config(config).with_threads(settings.threads.into())
    }
}

fn speed(speed: Speed) -> SpeedSettings {
    let mut settings = SpeedSettings::from_preset(match speed {
        Speed::Archive => 6,
        Speed::Standard => 8,
        Speed::Draft => 10,
    });
    // Each picture of it is a picture of delay.
    settings.rdo_lookahead_frames = 1;
    settings.scene_detection_mode = SceneDetectionSpeed::None;
    settings
}

/// A tile for a thread, as many as the picture is large enough for.
fn tiles(threads: u16, size: Size) -> usize {
    usize::from(threads.min(MAX_TILES)).min(size.luma_bytes() / MIN_TILE_SAMPLES).max(1)
}

fn description(colour: Colour) -> (ColorDescription, PixelRange) {
    let description = ColorDescription {
        color_primaries: ColorPrimaries::from_u8(colour.primaries).unwrap_or_default(),
        transfer_characteristics: TransferCharacteristics::from_u8(colour.transfer).unwrap_or_default(),
        matrix_coefficients: MatrixCoefficients::from_u8(colour.matrix).unwrap_or_default(),
    };
    (description, if colour.full_range { PixelRange::Full } else { PixelRange::Limited })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_keeps_its_code_points() {
        for code in [1, 2, 4, 9, 12, 22] {
            let (description, _) = description(Colour { primaries: code, transfer: 1, matrix: 1, full_range: false });
            assert_eq!(description.color_primaries as u8, code);
        }
        for code in [1, 2, 4, 13, 16, 18] {
            let (description, _) = description(Colour { primaries: 1, transfer: code, matrix: 1, full_range: false });
            assert_eq!(description.transfer_characteristics as u8, code);
        }
        for code in [1, 2, 4, 9, 14] {
            let (description, _) = description(Colour { primaries: 1, transfer: 1, matrix: code, full_range: false });
            assert_eq!(description.matrix_coefficients as u8, code);
        }
    }

    #[test]
    fn tiles_follow_threads_where_there_is_room() {
        let tiles = |threads, width, height| super::tiles(threads, Size::new(width, height).unwrap());
        assert_eq!(tiles(4, 160, 90), 1);
        assert_eq!(tiles(2, 640, 360), 2);
        assert_eq!(tiles(64, 1920, 1080), 8);
    }
}
