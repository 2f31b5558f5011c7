//! Making pictures another size.

use std::sync::Arc;

use pic_scale::{ImageSize, ImageStore, ImageStoreMut, PicScaleError, Resampling, ResamplingFunction, ThreadingPolicy};

use crate::picture::{Picture, Plane, Size};

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

/// Makes pictures of one size from pictures of any, by cubic convolution (R. Keys, 1981) that widens when making smaller, so that nothing
/// is skipped.
///
/// Coefficients and scratch memory are kept from picture to picture: keep one scaler per output size. The three planes are
/// scaled one by one, chroma as if sited in the centre of its four luma samples.
pub struct Scaler {
    size: Size,
    library: pic_scale::Scaler,
    /// For the size of the last picture.
    plans: Option<Plans>,
}

impl Scaler {
    /// A scaler to `size`.
    pub fn new(size: Size) -> Self {
        let mut library = pic_scale::Scaler::new(ResamplingFunction::Bicubic);
        // Every rung has a thread of its own already.
        library.set_threading_policy(ThreadingPolicy::Single);
        Self { size, library, plans: None }
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
        let plans = match self.plans.take().filter(|plans| plans.from == from) {
            Some(plans) => plans,
            None => Plans::new(&self.library, from, to).map_err(|e| failed(e.to_string()))?,
        };
        let plans = self.plans.insert(plans);
        let mut data = vec![0; to.bytes()];
        let mut rest = data.as_mut_slice();
        for plane in Plane::ALL {
            let (row, rows) = to.plane(plane);
            let (target, after) = rest.split_at_mut(row * rows);
            rest = after;
            plans.scale(picture, plane, target).map_err(|e| failed(e.to_string()))?;
        }
        Picture::from_i420(to, picture.time(), data).map_err(|e| failed(e.to_string()))
    }
}

/// What it takes to bring planes of one size to another.
struct Plans {
    from: Size,
    to: Size,
    luma: Arc<Resampling<u8, 1>>,
    chroma: Arc<Resampling<u8, 1>>,
    scratch: Vec<u8>,
}

impl Plans {
    fn new(library: &pic_scale::Scaler, from: Size, to: Size) -> Result<Self, PicScaleError> {
        let plan = |plane| {
            let size = |(width, height)| ImageSize::new(width, height);
            library.plan_planar_resampling(size(from.plane(plane)), size(to.plane(plane)))
        };
        let (luma, chroma) = (plan(Plane::Y)?, plan(Plane::U)?);
        let scratch = vec![0; luma.scratch_size().max(chroma.scratch_size())];
        Ok(Self { from, to, luma, chroma, scratch })
    }

    fn scale(&mut self, picture: &Picture, plane: Plane, target: &mut [u8]) -> Result<(), PicScaleError> {
        let ((from_row, from_rows), (to_row, to_rows)) = (self.from.plane(plane), self.to.plane(plane));
        let plan = if plane == Plane::Y { &self.luma } else { &self.chroma };
        let source = ImageStore::borrow(picture.plane(plane), from_row, from_rows)?;
        let mut target = ImageStoreMut::borrow(target, to_row, to_rows)?;
        let scratch = &mut self.scratch[..plan.scratch_size()];
        plan.resample_with_scratch(&source, &mut target, scratch)
    }
}
