//! Backends that do their work, but not as expected.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use millrace_codec::{
    Colour, EncodeError, Packet, Picture, VideoConfig, VideoEncoder, VideoSettings, open_video_encoder,
};
use millrace_media::Time;

use super::super::coder::Opener;

/// What a backend does beside encoding.
#[derive(Clone, Default)]
pub(super) struct Habits {
    /// It holds so many packets back.
    pub(super) delay: usize,
    /// Which pictures it fails at, counted over all backends from 0.
    pub(super) fails_at: Option<fn(u32) -> bool>,
    /// Which backends have other headers, counted from 0.
    pub(super) fickle: Option<fn(u32) -> bool>,
    /// Which settings it is not opened with.
    pub(super) refuses: Option<fn(&VideoSettings) -> bool>,
    /// Every picture waits for a permit.
    pub(super) gate: Option<Arc<Gate>>,
}

impl Habits {
    pub(super) fn opener(self) -> Opener {
        let (opened, pictures) = (AtomicU32::new(0), Arc::new(AtomicU32::new(0)));
        Arc::new(move |settings| {
            let mut settings: VideoSettings = settings.clone();
            if self.refuses.is_some_and(|refuses| refuses(&settings)) {
                return Err(EncodeError::Backend { backend: "odd", reason: "not with these settings".into() });
            }
            let number = opened.fetch_add(1, Ordering::Relaxed);
            if self.fickle.is_some_and(|fickle| fickle(number)) {
                settings.colour = Some(Colour { primaries: 9, transfer: 9, matrix: 9, full_range: false });
            }
            let inner = open_video_encoder(&settings)?;
            Ok(Box::new(Odd { inner, habits: self.clone(), pictures: pictures.clone(), held: VecDeque::new() })
                as Box<_>)
        })
    }
}

/// Lets so many pictures through.
#[derive(Default)]
pub(super) struct Gate {
    permits: Mutex<Option<u32>>,
    changed: Condvar,
}

impl Gate {
    /// So many, from now on; none for all.
    pub(super) fn let_through(&self, more: Option<u32>) {
        let mut permits = self.permits.lock().unwrap();
        *permits = more.map(|more| permits.unwrap_or(0) + more);
        self.changed.notify_all();
    }

    pub(super) fn is_used_up(&self) -> bool {
        *self.permits.lock().unwrap() == Some(0)
    }

    fn pass(&self) {
        let mut permits = self.permits.lock().unwrap();
        while *permits == Some(0) {
            permits = self.changed.wait(permits).unwrap();
        }
        *permits = permits.map(|left| left - 1);
    }
}

struct Odd {
    inner: Box<dyn VideoEncoder>,
    habits: Habits,
    pictures: Arc<AtomicU32>,
    held: VecDeque<Packet>,
}

impl VideoEncoder for Odd {
    fn encode(
        &mut self,
        picture: &Picture,
        time: Time,
        force_keyframe: bool,
        out: &mut Vec<Packet>,
    ) -> Result<(), EncodeError> {
        if let Some(gate) = &self.habits.gate {
            gate.pass();
        }
        let number = self.pictures.fetch_add(1, Ordering::Relaxed);
        if self.habits.fails_at.is_some_and(|fails| fails(number)) {
            return Err(EncodeError::Backend { backend: "odd", reason: format!("no picture {number}") });
        }
        let mut packets = Vec::new();
        self.inner.encode(picture, time, force_keyframe, &mut packets)?;
        self.held.extend(packets);
        while self.held.len() > self.habits.delay {
            out.extend(self.held.pop_front());
        }
        Ok(())
    }

    fn delay(&self) -> usize {
        self.inner.delay() + self.habits.delay
    }

    fn set_bitrate(&mut self, bits_per_second: u32) -> Result<(), EncodeError> {
        self.inner.set_bitrate(bits_per_second)
    }

    fn flush(&mut self, out: &mut Vec<Packet>) -> Result<(), EncodeError> {
        out.extend(self.held.drain(..));
        self.inner.flush(out)
    }

    fn config(&self) -> Option<&VideoConfig> {
        self.inner.config()
    }
}
