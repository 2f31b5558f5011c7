//! The demo's picture: a pattern that moves, a clock to read, and the same time as a row of black and white blocks for a machine.

use std::time::Duration;

use font8x8::legacy::BASIC_LEGACY;
use millrace_codec::{Picture, Size, SizeError};
use millrace_media::Time;

/// Video range (ITU-R BT.709): black and white.
const BLACK: u8 = 16;
const WHITE: u8 = 235;
/// Bits of the milliseconds since 1970 in the row of blocks, the highest first.
pub(crate) const BARCODE_BITS: u32 = 32;
/// Pixels that the pattern moves in a frame.
const SPEED: usize = 2;

/// The most that grain adds to a sample; the pattern leaves room for it.
const GRAIN: u16 = 14;
/// Places in the grain at which a picture may begin.
const GRAIN_SHIFTS: usize = 65_536;

/// Paints one picture after the other.
pub(super) struct Painter {
    size: Size,
    /// A pattern wider than the picture by its own period, Y, U and V in turn: each picture shows another part of it.
    luma: Vec<u8>,
    chroma: [Vec<u8>; 2],
    period: usize,
    /// As a camera's sensor has it: without grain, a synthetic picture costs so few bits that its rungs would be larger than it.
    grain: Vec<u8>,
}

impl Painter {
    pub(super) fn new(size: Size) -> Self {
        let (width, height) = (size.width() as usize, size.height() as usize);
        let period = width;
        let wide = width + period;
        let mut luma = vec![BLACK; wide * height];
        for y in 0..height {
            for x in 0..wide {
                luma[y * wide + x] = pattern(x % period, y, period, height);
            }
        }
        let hue = |phase: f64| {
            let mut plane = vec![128; wide / 2 * (height / 2)];
            for y in 0..height / 2 {
                for x in 0..wide / 2 {
                    let turn = (x % (period / 2)) as f64 / (period / 2) as f64 * std::f64::consts::TAU;
                    let strength = 50.0 * (y as f64 / (height / 2) as f64);
                    plane[y * (wide / 2) + x] = (128.0 + strength * (turn + phase).sin()) as u8;
                }
            }
            plane
        };
        let chroma = [hue(0.0), hue(std::f64::consts::FRAC_PI_2)];
        Self { size, luma, chroma, period, grain: grain(width * height + GRAIN_SHIFTS) }
    }

    /// The picture of `frame`, taken `now` since the Unix epoch and presented at `time`.
    pub(super) fn paint(&self, frame: u64, now: Duration, time: Time) -> Result<Picture, SizeError> {
        let (width, height) = (self.size.width() as usize, self.size.height() as usize);
        let shift = usize::try_from(frame).unwrap_or(0).wrapping_mul(SPEED) % self.period / 2 * 2;
        let mut data = Vec::with_capacity(self.size.bytes());
        let wide = width + self.period;
        for row in self.luma.chunks_exact(wide) {
            data.extend_from_slice(&row[shift..shift + width]);
        }
        // Another part of the grain in every picture, so that it cannot be predicted from the one before.
        let at = usize::try_from(frame).unwrap_or(0).wrapping_mul(7_919) % GRAIN_SHIFTS;
        data.iter_mut().zip(&self.grain[at..]).for_each(|(luma, grain)| *luma += grain);
        for plane in &self.chroma {
            for row in plane.chunks_exact(wide / 2) {
                data.extend_from_slice(&row[shift / 2..shift / 2 + width / 2]);
            }
        }
        let (luma, chroma) = data.split_at_mut(width * height);
        let mut canvas = Canvas { luma, chroma, width };
        let scale = height / 90;
        let seconds = now.as_secs();
        let clock = format!(
            "{:02}:{:02}:{:02}.{:03}",
            seconds / 3600 % 24,
            seconds / 60 % 60,
            seconds % 60,
            now.subsec_millis()
        );
        canvas.text(&clock, scale, height / 2 - scale * 4);
        canvas.text(&format!("millrace demo  frame {frame}"), scale / 2, height / 2 + scale * 8);
        let millis = u32::try_from(now.as_millis() & u128::from(u32::MAX)).unwrap_or(0);
        canvas.barcode(millis, height - height / 12, height / 12);
        Picture::from_i420(self.size, time, data)
    }
}

/// Noise of 0 to [`GRAIN`], the same in every run (a linear congruential generator, Knuth's constants).
fn grain(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (((state >> 56) as u16 * (GRAIN + 1)) >> 8) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Diagonal waves over a slow ramp: something for motion search and for the eye.
fn pattern(x: usize, y: usize, width: usize, height: usize) -> u8 {
    let turn = std::f64::consts::TAU;
    let (u, v) = (x as f64 / width as f64, y as f64 / height as f64);
    let waves = ((u * 6.0 + v * 2.0) * turn).sin() * 30.0 + ((u * 2.0 - v * 3.0) * turn).cos() * 20.0;
    let checks = if (x / (width / 32).max(1) + y / (width / 32).max(1)).is_multiple_of(2) { 8.0 } else { -8.0 };
    (f64::from(BLACK) + 90.0 + waves + checks) as u8
}

struct Canvas<'a> {
    luma: &'a mut [u8],
    /// Both planes, one behind the other.
    chroma: &'a mut [u8],
    width: usize,
}

impl Canvas<'_> {
    fn fill(&mut self, left: usize, top: usize, width: usize, height: usize, value: u8) {
        for row in self.luma.chunks_exact_mut(self.width).skip(top).take(height) {
            let right = (left + width).min(row.len());
            if left < right {
                row[left..right].fill(value);
            }
        }
    }

    /// A bar without colour.
    fn bar(&mut self, left: usize, top: usize, width: usize, height: usize) {
        self.fill(left, top, width, height, BLACK);
        let plane_size = self.chroma.len() / 2;
        for plane in self.chroma.chunks_exact_mut(plane_size) {
            for row in plane.chunks_exact_mut(self.width / 2).skip(top / 2).take(height / 2) {
                let right = ((left + width) / 2).min(row.len());
                row[(left / 2).min(right)..right].fill(128);
            }
        }
    }

    /// Centred text on a black bar, `scale` pixels for each of the font's.
    fn text(&mut self, text: &str, scale: usize, top: usize) {
        let length = text.len() * 8 * scale;
        let start = self.width.saturating_sub(length) / 2;
        self.fill(
            start.saturating_sub(scale * 2),
            top.saturating_sub(scale * 2),
            length + scale * 4,
            scale * 12,
            BLACK,
        );
        for (index, character) in text.bytes().enumerate() {
            let glyph = BASIC_LEGACY[usize::from(character & 0x7f)];
            for (line, bits) in glyph.iter().enumerate() {
                for column in (0..8).filter(|column| bits >> column & 1 == 1) {
                    let (x, y) = (start + (index * 8 + column) * scale, top + line * scale);
                    self.fill(x, y, scale, scale, WHITE);
                }
            }
        }
    }

    fn barcode(&mut self, value: u32, top: usize, height: usize) {
        self.bar(0, top, self.width, height);
        for bit in 0..BARCODE_BITS {
            let from = self.width * bit as usize / BARCODE_BITS as usize;
            let to = self.width * (bit as usize + 1) / BARCODE_BITS as usize;
            let set = value >> (BARCODE_BITS - 1 - bit) & 1 == 1;
            self.fill(from, top, to - from, height, if set { WHITE } else { BLACK });
        }
    }
}

#[cfg(test)]
mod tests {
    use millrace_codec::Plane;

    use super::*;

    #[test]
    fn the_time_can_be_read_back_from_the_blocks() {
        let size = Size::new(640, 360).unwrap();
        let now = Duration::from_millis(1_800_000_123_456);
        let picture = Painter::new(size).paint(7, now, Time::from_millis(0)).unwrap();
        let row = &picture.plane(Plane::Y)[640 * 350..640 * 351];
        let read = (0..32).fold(0u32, |value, bit| value << 1 | u32::from(row[bit * 20 + 10] > 128));
        assert_eq!(read, (1_800_000_123_456u64 & 0xffff_ffff) as u32);
    }

    #[test]
    fn every_picture_differs_from_the_one_before() {
        let size = Size::new(320, 180).unwrap();
        let painter = Painter::new(size);
        let paint = |frame| painter.paint(frame, Duration::from_secs(1), Time::from_millis(0)).unwrap();
        assert_ne!(paint(0).plane(Plane::Y)[..320], paint(1).plane(Plane::Y)[..320]);
    }
}
