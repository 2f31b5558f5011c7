//! An encoder's backend, under supervision.
//!
//! A backend that fails is opened anew with the next group, [`ATTEMPTS`] times without a whole group in between; then the rung fails,
//! with the last reason. All segments of a rung share one init segment: a backend opened in mid-stream whose headers differ from those
//! that the track has is refused, as a failure. Only [other settings](Coder::replace), which the rung asks for where the calendar marks a
//! discontinuity, may bring other headers.

use std::sync::Arc;

use millrace_codec::{EncodeError, Invariant, Packet, Picture, VideoCodec, VideoConfig, VideoEncoder, VideoSettings};
use millrace_media::Time;

/// How often a backend that fails is opened anew.
pub(super) const ATTEMPTS: u32 = 3;

/// Opens backends.
pub(super) type Opener = Arc<dyn Fn(&VideoSettings) -> Result<Box<dyn VideoEncoder>, EncodeError> + Send + Sync>;

/// The backend has failed too often.
#[derive(Debug, thiserror::Error)]
#[error("the encoder failed {failures} times, the last time: {reason}")]
pub(super) struct Exhausted {
    failures: u32,
    reason: String,
}

/// See the [module](self).
pub(super) struct Coder {
    open: Opener,
    settings: VideoSettings,
    /// The settings of before, until the track's headers are known to be those of the new ones too.
    before: Option<VideoSettings>,
    /// They hold again, since this was last asked.
    reverted: bool,
    /// None after a failure, until a group begins.
    backend: Option<Box<dyn VideoEncoder>>,
    /// What the track says.
    known: Option<VideoConfig>,
    /// The backend's headers are those of the track.
    agreed: bool,
    /// Since a whole group was encoded.
    failures: u32,
}

impl Coder {
    pub(super) fn new(open: Opener, settings: VideoSettings, backend: Box<dyn VideoEncoder>) -> Self {
        Self {
            open,
            settings,
            before: None,
            reverted: false,
            backend: Some(backend),
            known: None,
            agreed: false,
            failures: 0,
        }
    }

    pub(super) fn settings(&self) -> &VideoSettings {
        &self.settings
    }

    /// Whether the settings of before hold again, because the new ones failed. Asked once.
    pub(super) fn take_reverted(&mut self) -> bool {
        std::mem::take(&mut self.reverted)
    }

    /// What the init segment must say, once it is known.
    pub(super) fn config(&self) -> Option<&VideoConfig> {
        self.known.as_ref()
    }

    /// A group begins. False where there is no backend for it.
    pub(super) fn begin_group(&mut self) -> Result<bool, Exhausted> {
        if self.backend.is_some() {
            self.failures = 0;
            return Ok(true);
        }
        match (self.open)(&self.settings) {
            Ok(backend) => {
                (self.backend, self.agreed) = (Some(backend), false);
                Ok(true)
            }
            Err(error) => self.failed(error.to_string()).map(|()| false),
        }
    }

    /// Encodes a picture. False where the backend has failed: nothing more comes of this group.
    pub(super) fn encode(
        &mut self,
        picture: &Picture,
        time: Time,
        keyframe: bool,
        out: &mut Vec<Packet>,
    ) -> Result<bool, Exhausted> {
        let Some(backend) = &mut self.backend else { return Ok(false) };
        let encoded = backend.encode(picture, time, keyframe, out);
        self.check(encoded, out)
    }

    /// Takes out what the backend still holds.
    pub(super) fn flush(&mut self, out: &mut Vec<Packet>) -> Result<bool, Exhausted> {
        let Some(backend) = &mut self.backend else { return Ok(false) };
        let flushed = backend.flush(out);
        self.check(flushed, out)
    }

    /// Aims at another bitrate, also with the backends that follow. One that holds a quality goes on holding it.
    pub(super) fn set_bitrate(&mut self, bitrate: u32) {
        if self.settings.bitrate.is_none() {
            return;
        }
        self.settings.bitrate = Some(bitrate);
        if let Some(Err(error)) = self.backend.as_mut().map(|backend| backend.set_bitrate(bitrate)) {
            tracing::warn!(%error, bitrate, "an encoder keeps its bitrate");
        }
    }

    /// From the next group on, encodes as other settings ask. The headers may be others: the track is to be described anew.
    pub(super) fn replace(&mut self, settings: VideoSettings) {
        (self.settings, self.before, self.backend, self.known, self.failures) = (settings, None, None, None, 0);
    }

    /// From the next group on, encodes as other settings ask, on the same track. Where its headers would be others, or no backend takes the
    /// settings, those of before hold again.
    pub(super) fn reconfigure(&mut self, settings: VideoSettings) {
        let former = std::mem::replace(&mut self.settings, settings);
        // Settings that no header has confirmed are not those to go back to.
        self.before.get_or_insert(former);
        (self.backend, self.failures) = (None, 0);
    }

    /// Looks at what came of a call, and at the headers where packets came.
    fn check(&mut self, done: Result<(), EncodeError>, out: &mut Vec<Packet>) -> Result<bool, Exhausted> {
        let checked = match done {
            Ok(()) if out.is_empty() || self.agreed => return Ok(true),
            Ok(()) => self.agree(),
            Err(error) => Err(error.to_string()),
        };
        match checked {
            Ok(()) => Ok(true),
            Err(reason) => {
                out.clear();
                self.backend = None;
                self.failed(reason).map(|()| false)
            }
        }
    }

    fn agree(&mut self) -> Result<(), String> {
        let Some(config) = self.backend.as_ref().and_then(|backend| backend.config()) else {
            return Err("packets came without headers".to_owned());
        };
        match &self.known {
            Some(known) => headers_agree(known, config)?,
            None => self.known = Some(config.clone()),
        }
        (self.agreed, self.before) = (true, None);
        Ok(())
    }

    fn failed(&mut self, reason: String) -> Result<(), Exhausted> {
        if let Some(before) = self.before.take() {
            (self.settings, self.reverted) = (before, true);
            tracing::warn!(reason, "an encoder keeps its settings");
            return Ok(());
        }
        self.failures += 1;
        tracing::warn!(reason, failures = self.failures, "an encoder has failed");
        if self.failures > ATTEMPTS { Err(Exhausted { failures: self.failures, reason }) } else { Ok(()) }
    }
}

/// The rung's codec invariant: whether a bitstream with the headers `new` can go on where the init segment says `known`.
fn headers_agree(known: &VideoConfig, new: &VideoConfig) -> Result<(), String> {
    if known == new {
        return Ok(());
    }
    let of = |config| Invariant::of(config).map_err(|error| error.to_string());
    if let Some(disagreement) = of(known)?.disagreement(&of(new)?) {
        return Err(disagreement.to_string());
    }
    match new.codec {
        // Packets carry no parameter sets: those of the init segment are all that a player has.
        VideoCodec::H264 => Err("its parameter sets are not those of the track's init segment".to_owned()),
        // Keyframes carry their sequence header, which may say more than a player must know before.
        VideoCodec::Av1 => Ok(()),
    }
}
