//! The settings that a transcoder requests of a video encoder, and when the encoder takes them up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millrace_codec::VideoSettings;

use super::EncodeError;

/// Shared by an encoder's handles and its thread.
#[derive(Clone, Debug)]
pub(super) struct RequestedSettings(Arc<Mutex<Requested>>);

#[derive(Debug)]
pub(super) struct Requested {
    /// In force, or to be in force with the next group.
    settings: VideoSettings,
    /// The encoder has yet to take them up.
    waiting: bool,
    /// For the source's next epoch.
    next_epoch: Option<VideoSettings>,
}

/// What changes with the group that begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// The encoder's settings. The track's description stays.
    Settings(VideoSettings),
    /// The track, which is described anew.
    Track(VideoSettings),
}

impl RequestedSettings {
    pub(super) fn new(settings: VideoSettings) -> Self {
        Self(Arc::new(Mutex::new(Requested { settings, waiting: false, next_epoch: None })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Requested> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Requested {
    /// What was requested last.
    pub(super) fn newest(&self) -> &VideoSettings {
        self.next_epoch.as_ref().unwrap_or(&self.settings)
    }

    /// Requests settings for the source's next epoch: the source has changed.
    pub(super) fn request_for_epoch(&mut self, settings: VideoSettings) {
        self.next_epoch = Some(settings);
    }

    /// Requests settings for the next group. Those that wait for an epoch are replaced too.
    ///
    /// # Errors
    /// Where the codec or the size is not that of the settings requested last.
    pub(super) fn request_for_group(&mut self, settings: VideoSettings) -> Result<(), EncodeError> {
        let last = self.newest();
        if (last.codec, last.width, last.height) != (settings.codec, settings.width, settings.height) {
            return Err(EncodeError::Invalid(format!(
                "{} of {}x{} where the encoder makes {} of {}x{}: another codec or size is another track",
                settings.codec.name(),
                settings.width,
                settings.height,
                last.codec.name(),
                last.width,
                last.height
            )));
        }
        if let Some(next) = &mut self.next_epoch {
            *next = VideoSettings { colour: settings.colour.or(next.colour), ..settings.clone() };
        }
        // Until that epoch, the track keeps its codec and size.
        let VideoSettings { codec, library, width, height, colour, .. } = self.settings;
        let library = if codec == settings.codec { settings.library } else { library };
        let colour = settings.colour.filter(|_| self.next_epoch.is_none()).or(colour);
        self.settings = VideoSettings { codec, library, width, height, colour, ..settings };
        self.waiting = true;
        Ok(())
    }

    /// The encoder has gone back to the settings it had before. What has been requested since still waits.
    pub(super) fn revert_to(&mut self, settings: &VideoSettings) {
        if !self.waiting {
            self.settings = settings.clone();
        }
    }

    /// The bitrate was changed at a frame.
    pub(super) fn set_bitrate(&mut self, bitrate: u32) {
        for settings in std::iter::once(&mut self.settings).chain(&mut self.next_epoch) {
            if settings.bitrate.is_some() {
                settings.bitrate = Some(bitrate);
            }
        }
    }

    /// Takes what is to change with the group that begins. `in_force` are the encoder's settings. The track can be described anew where an
    /// epoch begins, or where it has not been described yet (`describable`).
    pub(super) fn take(&mut self, in_force: &VideoSettings, describable: bool) -> Option<Change> {
        let next_epoch = self.next_epoch.take_if(|_| describable);
        if let Some(next) = next_epoch.filter(|next| !is_alike(next, in_force)) {
            self.settings = next;
            self.waiting = false;
            return Some(Change::Track(self.settings.clone()));
        }
        if !std::mem::take(&mut self.waiting) {
            return None;
        }
        let settings = self.settings.clone();
        let anew = describable && !is_alike(&settings, in_force);
        Some(if anew { Change::Track(settings) } else { Change::Settings(settings) })
    }
}

/// Whether two settings make the same track: a bitrate may have been changed since.
pub(super) fn is_alike(a: &VideoSettings, b: &VideoSettings) -> bool {
    *a == VideoSettings { bitrate: a.bitrate, frame_rate: a.frame_rate, ..b.clone() }
}

#[cfg(test)]
mod tests {
    use millrace_codec::VideoCodec;

    use super::*;

    fn settings(width: u32, bitrate: u32) -> VideoSettings {
        VideoSettings { bitrate: Some(bitrate), ..VideoSettings::new(VideoCodec::H264, width, 90) }
    }

    fn opened() -> Requested {
        Requested { settings: settings(160, 200_000), waiting: false, next_epoch: None }
    }

    #[test]
    fn settings_for_an_epoch_do_not_come_with_a_group_before_it() {
        let in_force = settings(160, 200_000);
        let mut requested = opened();
        requested.request_for_group(settings(160, 300_000)).unwrap();
        requested.request_for_epoch(settings(80, 100_000));
        assert_eq!(requested.newest(), &settings(80, 100_000));
        assert_eq!(requested.take(&in_force, false), Some(Change::Settings(settings(160, 300_000))));
        assert_eq!(requested.take(&in_force, false), None, "asked once");
        assert_eq!(requested.take(&in_force, true), Some(Change::Track(settings(80, 100_000))));
        assert_eq!(requested.take(&settings(80, 100_000), true), None);
        assert_eq!(requested.newest(), &settings(80, 100_000));
    }

    #[test]
    fn a_request_for_a_group_counts_before_and_after_the_epoch_that_others_wait_for() {
        let in_force = settings(160, 200_000);
        let mut requested = opened();
        requested.request_for_epoch(settings(80, 100_000));
        assert!(matches!(requested.request_for_group(settings(160, 150_000)), Err(EncodeError::Invalid(_))));
        requested.request_for_group(settings(80, 150_000)).unwrap();
        assert_eq!(requested.take(&in_force, false), Some(Change::Settings(settings(160, 150_000))));
        assert_eq!(requested.take(&settings(160, 150_000), true), Some(Change::Track(settings(80, 150_000))));
    }

    #[test]
    fn what_was_requested_after_settings_that_failed_still_waits() {
        let in_force = settings(160, 200_000);
        let mut requested = opened();
        requested.request_for_group(settings(160, 300_000)).unwrap();
        assert!(requested.take(&in_force, false).is_some());
        requested.request_for_epoch(settings(80, 100_000));
        requested.revert_to(&in_force);
        assert_eq!(requested.newest(), &settings(80, 100_000));
        assert_eq!(requested.take(&in_force, true), Some(Change::Track(settings(80, 100_000))));

        let mut requested = opened();
        requested.request_for_group(settings(160, 300_000)).unwrap();
        assert!(requested.take(&in_force, false).is_some());
        requested.request_for_group(settings(160, 400_000)).unwrap();
        requested.revert_to(&in_force);
        assert_eq!(requested.take(&in_force, false), Some(Change::Settings(settings(160, 400_000))));
        requested.revert_to(&in_force);
        assert_eq!(requested.newest(), &in_force);
    }

    #[test]
    fn a_bitrate_set_at_a_frame_is_kept_where_nothing_else_changes() {
        let mut requested = opened();
        requested.set_bitrate(250_000);
        requested.request_for_epoch(settings(160, 200_000));
        assert_eq!(requested.take(&settings(160, 250_000), true), None);
        assert_eq!(requested.newest(), &settings(160, 250_000));
    }
}
