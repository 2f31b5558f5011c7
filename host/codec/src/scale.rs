//! Making pictures another size.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::picture::{Picture, Plane, Size};

/// How samples of the source become a sample of the result. All filters widen when making smaller, so that nothing is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScaleFilter {
    /// A triangle: the quickest, a little soft. The choice for live rungs.
    #[default]
    Bilinear,
    /// A windowed sinc of three lobes: the sharpest, about twice the work.
    Lanczos,
}

/// Why a picture could not be scaled.
#[derive(Debug, thiserror::Error)]
pub enum ScaleError {
    /// The library refused; sizes and buffers are checked before, so this is a defect, not bad input.
    #[error("scaling a plane from {from} to {to}: {reason}")]
    Plane {
        /// The size of the source picture.
        from: Size,
        /// The size asked for.
        to: Size,
        /// What the library said.
        reason: String,
    },
}

/// Makes pictures of one size from pictures of any.
///
/// Coefficients and scratch memory are kept from picture to picture: keep one scaler per output size. The three planes are
/// scaled one by one, chroma as if sited in the centre of its four luma samples.
pub struct Scaler {
    size: Size,
    options: ResizeOptions,
    resizer: Resizer,
}

impl Scaler {
    /// A scaler to `size`.
    pub fn new(size: Size, filter: ScaleFilter) -> Self {
        let filter = match filter {
            ScaleFilter::Bilinear => FilterType::Bilinear,
            ScaleFilter::Lanczos => FilterType::Lanczos3,
        };
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).use_alpha(false);
        Self { size, options, resizer: Resizer::new() }
    }

    /// The size it makes.
    pub const fn size(&self) -> Size {
        self.size
    }

    /// The picture in the scaler's size, at the same time. One that has it already is shared, not copied.
    ///
    /// # Errors
    /// [`ScaleError`], which a valid picture does not cause.
    pub fn scale(&mut self, picture: &Picture) -> Result<Picture, ScaleError> {
        let (from, to) = (picture.size(), self.size);
        if from == to {
            return Ok(picture.clone());
        }
        let failed = |reason: String| ScaleError::Plane { from, to, reason };
        let mut data = vec![0; to.bytes()];
        let mut rest = data.as_mut_slice();
        for plane in Plane::ALL {
            let (from_row, from_rows) = from.plane(plane);
            let (to_row, to_rows) = to.plane(plane);
            let (target, after) = rest.split_at_mut(to_row * to_rows);
            rest = after;
            let source = ImageRef::new(from_row as u32, from_rows as u32, picture.plane(plane), PixelType::U8)
                .map_err(|e| failed(e.to_string()))?;
            let mut target = Image::from_slice_u8(to_row as u32, to_rows as u32, target, PixelType::U8)
                .map_err(|e| failed(e.to_string()))?;
            self.resizer.resize(&source, &mut target, Some(&self.options)).map_err(|e| failed(e.to_string()))?;
        }
        Picture::from_i420(to, picture.time(), data).map_err(|e| failed(e.to_string()))
    }
}
