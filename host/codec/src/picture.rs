//! A picture of raw video: 8-bit Y′CbCr, 4:2:0, planar.

use std::fmt;

use bytes::Bytes;
use millrace_media::time::Time;

/// The least width and height of a picture, in luma samples: one macroblock.
pub const MIN_DIMENSION: u32 = 16;
/// The greatest width and height of a picture, in luma samples.
pub const MAX_DIMENSION: u32 = 8192;

/// The size of a picture: even, and between [`MIN_DIMENSION`] and [`MAX_DIMENSION`] both ways.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Size {
    width: u32,
    height: u32,
}

impl Size {
    /// 4096x2304, the largest frame of H.264 level 5.2.
    pub(crate) const DCI_4K: Self = Self { width: 4096, height: 2304 };

    /// A size in luma samples.
    ///
    /// # Errors
    /// [`SizeError`] where a dimension is odd or out of range.
    pub fn new(width: u32, height: u32) -> Result<Self, SizeError> {
        for (name, value) in [("width", width), ("height", height)] {
            if !(MIN_DIMENSION..=MAX_DIMENSION).contains(&value) || !value.is_multiple_of(2) {
                return Err(SizeError::Dimension { name, value });
            }
        }
        Ok(Self { width, height })
    }

    /// Luma samples in a row.
    pub const fn width(self) -> u32 {
        self.width
    }

    /// Rows of luma samples.
    pub const fn height(self) -> u32 {
        self.height
    }

    /// Bytes of a picture of this size.
    pub const fn bytes(self) -> usize {
        self.luma_bytes() / 2 * 3
    }

    /// Luma samples of a picture of this size.
    pub const fn luma_samples(self) -> u64 {
        self.width as u64 * self.height as u64
    }

    /// Bytes of its luma plane.
    pub(crate) const fn luma_bytes(self) -> usize {
        self.width as usize * self.height as usize
    }

    /// Bytes in a row and rows of a plane.
    pub(crate) const fn plane(self, plane: Plane) -> (usize, usize) {
        match plane {
            Plane::Y => (self.width as usize, self.height as usize),
            Plane::U | Plane::V => (self.width as usize / 2, self.height as usize / 2),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A picture that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// A dimension is odd, or too small, or too great.
    #[error("invalid {name} {value} (expected an even number >= {MIN_DIMENSION}, <= {MAX_DIMENSION})")]
    Dimension {
        /// Which dimension.
        name: &'static str,
        /// Its value.
        value: u32,
    },
    /// The bytes given do not make a picture of the size given.
    #[error("{actual} bytes for the {plane:?} plane(s) of a picture of {size} (expected {expected})")]
    Bytes {
        /// The size of the picture.
        size: Size,
        /// The plane that is wrong, or the first where all are given as one.
        plane: Plane,
        /// Bytes needed.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
}

/// One of the three planes of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// Luma.
    Y,
    /// Cb, half the size both ways.
    U,
    /// Cr, half the size both ways.
    V,
}

impl Plane {
    /// The planes in the order they stand in memory.
    pub const ALL: [Self; 3] = [Self::Y, Self::U, Self::V];
}

/// What the numbers of a picture mean as light: code points of ITU-T H.273, as they stand in a bitstream and a `colr` box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Colour {
    /// `ColourPrimaries`, H.273 8.1. 2 is unspecified.
    pub primaries: u8,
    /// `TransferCharacteristics`, H.273 8.2. 2 is unspecified.
    pub transfer: u8,
    /// `MatrixCoefficients`, H.273 8.3. 2 is unspecified.
    pub matrix: u8,
    /// True where the range is 0 to 255, false where it is 16 to 235.
    pub full_range: bool,
}

/// An 8-bit 4:2:0 picture and the time it is shown.
///
/// The three planes stand one behind the other in one buffer without padding, so a row of a plane is followed by the next.
/// Cloning shares the buffer; nobody can change it.
#[derive(Clone)]
pub struct Picture {
    size: Size,
    time: Time,
    data: Bytes,
}

impl Picture {
    /// A picture from its planes Y, Cb, Cr, one behind the other without padding: `size.bytes()` bytes.
    ///
    /// # Errors
    /// [`SizeError::Bytes`] where `data` is longer or shorter.
    pub fn from_i420(size: Size, time: Time, data: impl Into<Bytes>) -> Result<Self, SizeError> {
        let data = data.into();
        if data.len() != size.bytes() {
            return Err(SizeError::Bytes { size, plane: Plane::Y, expected: size.bytes(), actual: data.len() });
        }
        Ok(Self { size, time, data })
    }

    /// A picture copied from planes Y, Cb, Cr whose rows start `stride` bytes apart.
    ///
    /// # Errors
    /// [`SizeError::Bytes`] where a plane is too short for its stride and the size.
    pub fn copy_planes(size: Size, time: Time, planes: [(&[u8], usize); 3]) -> Result<Self, SizeError> {
        let mut data = Vec::with_capacity(size.bytes());
        for (plane, (bytes, stride)) in Plane::ALL.into_iter().zip(planes) {
            let (row, rows) = size.plane(plane);
            let expected = stride.saturating_mul(rows - 1).saturating_add(row);
            if stride < row || bytes.len() < expected {
                return Err(SizeError::Bytes { size, plane, expected, actual: bytes.len() });
            }
            if stride == row {
                data.extend_from_slice(&bytes[..row * rows]);
            } else {
                for line in bytes.chunks(stride).take(rows) {
                    data.extend_from_slice(&line[..row]);
                }
            }
        }
        Ok(Self { size, time, data: data.into() })
    }

    /// The size in luma samples.
    pub const fn size(&self) -> Size {
        self.size
    }

    /// When it is shown.
    pub const fn time(&self) -> Time {
        self.time
    }

    /// The same picture, shown at another time.
    #[must_use]
    pub fn at(mut self, time: Time) -> Self {
        self.time = time;
        self
    }

    /// The bytes of a plane. Its rows are [`Picture::stride`] bytes apart.
    pub fn plane(&self, plane: Plane) -> &[u8] {
        let (luma, chroma) = (self.size.luma_bytes(), self.size.luma_bytes() / 4);
        match plane {
            Plane::Y => &self.data[..luma],
            Plane::U => &self.data[luma..luma + chroma],
            Plane::V => &self.data[luma + chroma..],
        }
    }

    /// Bytes from the start of one row of a plane to the start of the next.
    pub const fn stride(&self, plane: Plane) -> usize {
        self.size.plane(plane).0
    }

    /// All planes as one: Y, Cb, Cr.
    pub fn as_i420(&self) -> &Bytes {
        &self.data
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({} at {:?})", self.size, self.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_out_of_range_are_refused_with_the_value() {
        for (width, height) in [(15, 16), (16, 14), (17, 16), (8194, 16), (16, u32::MAX), (0, 0)] {
            let error = Size::new(width, height).unwrap_err().to_string();
            assert!(error.contains("expected an even number >= 16, <= 8192"), "{error}");
        }
        assert_eq!(Size::new(16, 8192).unwrap().bytes(), 16 * 8192 * 3 / 2);
    }

    #[test]
    fn padding_is_left_behind_when_planes_are_copied() {
        let size = Size::new(16, 16).unwrap();
        let luma: Vec<u8> = (0..16 * 20).map(|i| if i % 20 < 16 { (i / 20) as u8 } else { 255 }).collect();
        let chroma: Vec<u8> = (0..8 * 12).map(|i| if i % 12 < 8 { 100 } else { 255 }).collect();
        // The last row may end where its samples do.
        let luma = &luma[..luma.len() - 4];
        let picture =
            Picture::copy_planes(size, Time::from_millis(40), [(luma, 20), (&chroma, 12), (&chroma, 12)]).unwrap();
        assert_eq!(picture.plane(Plane::Y)[16 * 3..16 * 4], [3; 16]);
        assert_eq!(picture.plane(Plane::V), [100; 64]);
        assert!(!picture.as_i420().contains(&255));
        assert!(Picture::copy_planes(size, picture.time(), [(&luma[1..], 20), (&chroma, 12), (&chroma, 12)]).is_err());
        assert!(Picture::copy_planes(size, picture.time(), [(luma, 15), (&chroma, 12), (&chroma, 12)]).is_err());
    }

    #[test]
    fn clones_share_their_buffer() {
        let size = Size::new(64, 64).unwrap();
        let picture = Picture::from_i420(size, Time::from_millis(0), vec![7; size.bytes()]).unwrap();
        assert_eq!(picture.clone().as_i420().as_ptr(), picture.as_i420().as_ptr());
        assert!(Picture::from_i420(size, Time::from_millis(0), vec![7; 10]).is_err());
    }
}
