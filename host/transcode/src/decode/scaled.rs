//! One decoded picture in the sizes that rungs want of it.

use std::sync::{Arc, Mutex, PoisonError};

use millrace_codec::{Picture, ScaleError, Scaler, Size};

/// The sizes a picture has been scaled to. The first rung that wants a size makes it; others that want it at the same time wait for
/// that one. There are as many as the decoder's readers have sizes, and they go when the picture does.
#[derive(Debug, Default)]
pub(super) struct Sizes(Mutex<Vec<(Size, Slot)>>);

type Slot = Arc<Mutex<Option<Picture>>>;

impl Sizes {
    /// `picture` in the scaler's size, and whether it was this call that made it.
    ///
    /// # Errors
    /// As [`Scaler::scale`]; the next rung that wants the size tries again.
    pub(super) fn get(&self, picture: &Picture, scaler: &mut Scaler) -> Result<(Picture, bool), ScaleError> {
        if picture.size() == scaler.size() {
            return Ok((picture.clone(), false));
        }
        let slot = self.slot(scaler.size());
        let mut made = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(picture) = &*made {
            return Ok((picture.clone(), false));
        }
        let scaled = scaler.scale(picture)?;
        *made = Some(scaled.clone());
        Ok((scaled, true))
    }

    fn slot(&self, size: Size) -> Slot {
        let mut sizes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, slot)) = sizes.iter().find(|(known, _)| *known == size) {
            return slot.clone();
        }
        let slot = Slot::default();
        sizes.push((size, slot.clone()));
        slot
    }
}

#[cfg(test)]
mod tests {
    use millrace_media::Time;

    use super::*;

    fn size(width: u32, height: u32) -> Size {
        Size::new(width, height).unwrap()
    }

    #[test]
    fn whoever_comes_first_scales_and_the_others_share() {
        let source = size(64, 64);
        let picture = Picture::from_i420(source, Time::from_millis(0), vec![9; source.bytes()]).unwrap();
        let sizes = Sizes::default();
        let made: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut scaler = Scaler::new(size(32, 32));
                        sizes.get(&picture, &mut scaler).unwrap()
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        assert_eq!(made.iter().filter(|(_, made)| *made).count(), 1);
        let first = made[0].0.as_i420().as_ptr();
        assert!(made.iter().all(|(picture, _)| picture.as_i420().as_ptr() == first), "one buffer");
        let mut other = Scaler::new(size(16, 16));
        assert!(sizes.get(&picture, &mut other).unwrap().1);
        let mut same = Scaler::new(source);
        assert!(!sizes.get(&picture, &mut same).unwrap().1, "nothing to be done");
    }
}
