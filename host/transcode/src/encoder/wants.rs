//! The settings that a transcoder asks of an encoder, and when the rung takes them up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_codec::VideoSettings;

use super::EncodeError;

/// Shared by an encoder's handles and its thread.
#[derive(Clone, Debug)]
pub(super) struct Wants(Arc<Mutex<Wanted>>);

#[derive(Debug)]
pub(super) struct Wanted {
    settings: VideoSettings,
    /// To be taken up with the next group.
    due: bool,
}

impl Wants {
    pub(super) fn new(settings: VideoSettings) -> Self {
        Self(Arc::new(Mutex::new(Wanted { settings, due: false })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wanted {
    pub(super) fn settings(&self) -> &VideoSettings {
        &self.settings
    }

    /// The source has changed: these are for its next epoch.
    pub(super) fn returned(&mut self, settings: VideoSettings) {
        self.settings = settings;
    }

    /// These are for the next group.
    pub(super) fn reconfigured(&mut self, settings: VideoSettings) -> Result<(), EncodeError> {
        let now = &self.settings;
        if (now.codec, now.width, now.height) != (settings.codec, settings.width, settings.height) {
            return Err(EncodeError::Invalid(format!(
                "{} of {}x{} where the encoder makes {} of {}x{}: another codec or size is another track",
                settings.codec.name(),
                settings.width,
                settings.height,
                now.codec.name(),
                now.width,
                now.height
            )));
        }
        self.settings = VideoSettings { colour: settings.colour.or(now.colour), ..settings };
        self.due = true;
        Ok(())
    }

    /// The encoder keeps other settings than were asked for.
    pub(super) fn kept(&mut self, settings: &VideoSettings) {
        self.settings = settings.clone();
    }

    /// A bitrate was steered.
    pub(super) fn steered(&mut self, bitrate: u32) {
        if self.settings.bitrate.is_some() {
            self.settings.bitrate = Some(bitrate);
        }
    }

    /// Whether they are to be taken up with the group that begins. Asked once.
    pub(super) fn take_due(&mut self) -> bool {
        std::mem::take(&mut self.due)
    }
}
