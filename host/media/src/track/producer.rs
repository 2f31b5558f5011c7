//! Writing a track.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::blocks::{Blocks, Charge};
use super::info::{Info, Kind};
use super::listing::{Listing, ListingError};
use super::share::Held;
use super::state::{State, Track};
use crate::calendar::{Calendar, Cursor, Epoch, Group, NoPlace, Timing};
use crate::fragment::{Fragment, Media, Place};
use crate::time::{Time, Timescale};

/// Why a fragment was not taken. The track is as it was before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// It has no place in the broadcast's calendar.
    #[error(transparent)]
    NoPlace(#[from] NoPlace),
    /// Decode time must not go back within an epoch.
    #[error("decode time went back from {last} to {given}")]
    TimeWentBack {
        /// Of the fragment before.
        last: Time,
        /// Of this one.
        given: Time,
    },
    /// On a derived track, decode times rise strictly within an epoch.
    #[error(
        "decode time {} is not past {}, that of the last sample written, in ticks of {} a second",
        .given.ticks(), .last.ticks(), .given.scale().get()
    )]
    TimeNotRising {
        /// Of the last sample written.
        last: Time,
        /// Of the first sample of this fragment.
        given: Time,
    },
    /// The fragment counts its time in another timescale than its track.
    #[error("the fragment has {given:?}, its track {expected:?}")]
    Timescale {
        /// The fragment's.
        given: Timescale,
        /// The track's.
        expected: Timescale,
    },
    /// Nothing is known of the track yet: [`Producer::set_info`] comes first.
    #[error("the track has no CMAF header yet")]
    NoInfo,
    /// The fragment goes on with a group of which it was said that it is [complete](Producer::end_group).
    #[error("group {} is complete", .0.0)]
    GroupEnded(Group),
    /// A derived track is described anew in the middle of an epoch.
    #[error("the track is described anew where no epoch of its source begins: it has one CMAF header for each epoch")]
    Described,
    /// The track has ended.
    #[error("the track has ended")]
    Ended,
}

/// Why a derived track cannot be described so. It is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InfoError {
    /// A track keeps its kind.
    #[error("the track carries {}, and cannot carry {} from now on", .kept.as_str(), .given.as_str())]
    Kind {
        /// The track's.
        kept: Kind,
        /// That of the description.
        given: Kind,
    },
    /// It has a fragment in the source's epoch, and another description.
    #[error("the track has a fragment with another CMAF header: it keeps it until the publisher returns")]
    Written,
}

/// The one writer of a track. When it is dropped, a derived track ends; a source's stays open for its publisher's return.
pub struct Producer {
    track: Track,
    blocks: Blocks,
}

impl Producer {
    /// Takes the writer's place, or none where it is taken.
    pub(crate) fn new(track: &Track, declared: Option<Epoch>) -> Option<Self> {
        let mut state = track.state();
        if state.has_writer || state.ended {
            return None;
        }
        state.has_writer = true;
        state.declared = declared;
        drop(state);
        Some(Self { track: track.clone(), blocks: Blocks::default() })
    }

    /// The track, to be read.
    pub fn track(&self) -> &Track {
        &self.track
    }

    /// Says what the track is from the next fragment on. For derived tracks see [`Producer::describe`].
    pub fn set_info(&mut self, info: Info) {
        let mut state = self.track.state();
        if state.info.as_deref() != Some(&info) {
            state.set_info(Arc::new(info));
            self.track.0.share.set(state.pinned());
            drop(state);
            self.track.changed();
        }
    }

    /// Says what a derived track is from the next fragment on. It keeps its kind. Once it has a fragment in an epoch of the source, it keeps
    /// its description in that epoch; only one that repeats its source's, where that has changed within the epoch (`source_changed`), may
    /// change with it.
    ///
    /// # Errors
    /// Where the description differs from the one before, and may not.
    pub fn describe(&mut self, info: Info, source_changed: bool) -> Result<(), InfoError> {
        let epoch = self.track.0.calendar.lock().unwrap_or_else(PoisonError::into_inner).epoch();
        let mut state = self.track.state();
        if let Some(known) = state.info.as_deref().filter(|known| **known != info) {
            let (kept, given) = (known.kind(), info.kind());
            if kept != given {
                return Err(InfoError::Kind { kept, given });
            }
            let written = state.cursor.last().is_some_and(|last| epoch.is_some_and(|now| now.number == last.epoch));
            if written && !source_changed {
                return Err(InfoError::Written);
            }
            state.source_changed |= source_changed;
        }
        drop(state);
        self.set_info(info);
        Ok(())
    }

    /// Says how players are told of the track, before its first fragment.
    ///
    /// # Errors
    /// Where the language is no language tag, the track has ended, or it has a fragment and the listing would change.
    pub fn set_listing(&mut self, listing: Listing) -> Result<(), ListingError> {
        listing.check()?;
        let mut state = self.track.state();
        if *state.listing == listing {
            return Ok(());
        }
        if state.ended {
            return Err(ListingError::Ended);
        }
        if state.cursor.last().is_some() {
            return Err(ListingError::TooLate { kept: Box::new((*state.listing).clone()), given: Box::new(listing) });
        }
        state.listing = Arc::new(listing);
        drop(state);
        self.track.changed();
        Ok(())
    }

    /// Writes a fragment of the source. Never waits. [Short](crate::payload::is_short) slices are copied, once, so that they do not
    /// keep the buffers they were read into.
    ///
    /// # Errors
    /// Where it has no place (video before a keyframe), its time goes back, its group is complete, or the track has ended. The time of
    /// a derived track has to go on.
    pub fn write(&mut self, media: Media) -> Result<Fragment, WriteError> {
        let kind = self.track.info().ok_or(WriteError::NoInfo)?.kind();
        let timing = timing(&media);
        self.append(media, |calendar, cursor, unix| calendar.place_source(cursor, kind, timing, unix))
    }

    /// The fragment of the source that [`Producer::write`] would make of this media now, where it stands in the calendar included; its
    /// segment may become a later one. The track is as it was before.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn preview(&self, media: Media) -> Result<Fragment, WriteError> {
        let calendar = self.track.0.calendar.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.track.state();
        let info = state.info.clone().ok_or(WriteError::NoInfo)?;
        self.check_open(&state, &info, &media)?;
        let place = calendar.preview_source(&state.cursor, info.kind(), timing(&media))?;
        self.check_place(&state, &info, &media, &place)?;
        drop(state);
        drop(calendar);
        let arrived = self.track.0.clock.now().monotonic;
        Ok(Fragment::new(media, place, info, arrived, Charge::default()))
    }

    /// Writes a fragment that was derived from `group` of the source. Never waits. Short slices are copied, but for those of a fragment
    /// of another track.
    ///
    /// # Errors
    /// Where the group is not in the calendar, lies before one already written or is complete, the first sample is not decoded after the
    /// last one written, the track is [described](Producer::describe) anew and may not be, or it has ended. Of the source's own tracks, two
    /// fragments may be decoded at one time.
    pub fn write_in(&mut self, group: Group, media: Media) -> Result<Fragment, WriteError> {
        let start = media.presentation_time;
        self.append(media, |calendar, cursor, _| calendar.place_derived(cursor, group, start))
    }

    fn append(
        &mut self,
        media: Media,
        place: impl FnOnce(&mut Calendar, &mut Cursor, Duration) -> Result<Place, NoPlace>,
    ) -> Result<Fragment, WriteError> {
        let (media, charge) = self.blocks.pack(media, self.track.0.share.held());
        let (fragment, held) = match self.insert(media, charge, place) {
            Ok(written) => written,
            Err(error) => {
                self.blocks.discard(charge);
                return Err(error);
            }
        };
        self.track.0.wake.notify_waiters();
        // With no lock held: it may be any track that gives something up.
        if held == Held::TooMuch {
            self.track.0.share.total().relieve();
        }
        Ok(fragment)
    }

    fn insert(
        &self,
        media: Media,
        charge: Charge,
        place: impl FnOnce(&mut Calendar, &mut Cursor, Duration) -> Result<Place, NoPlace>,
    ) -> Result<(Fragment, Held), WriteError> {
        let now = self.track.0.clock.now();
        // The calendar's lock is always taken first and the track's inside it, so that a place and its fragment are one step.
        let mut calendar = self.track.0.calendar.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.track.state();
        let info = state.info.clone().ok_or(WriteError::NoInfo)?;
        let mut cursor = state.cursor;
        self.check_open(&state, &info, &media)?;
        let place = place(&mut calendar, &mut cursor, now.unix)?;
        self.check_place(&state, &info, &media, &place)?;
        state.cursor = cursor;
        state.source_changed = false;
        let fragment = Fragment::new(media, place, info, now.monotonic, charge);
        state.unwritten = self.blocks.rest();
        state.push(fragment.clone(), self.track.0.window);
        let held = self.track.0.share.set(state.pinned());
        Ok((fragment, held))
    }

    /// Checks that the track takes fragments like this one, wherever it stands.
    fn check_open(&self, state: &State, info: &Info, media: &Media) -> Result<(), WriteError> {
        if state.ended {
            return Err(WriteError::Ended);
        }
        if media.decode_time.scale() != info.timescale {
            return Err(WriteError::Timescale { given: media.decode_time.scale(), expected: info.timescale });
        }
        Ok(())
    }

    /// Checks that a fragment may follow the last one at `place`.
    fn check_place(&self, state: &State, info: &Arc<Info>, media: &Media, place: &Place) -> Result<(), WriteError> {
        let is_over = |last: &Place| state.group_end == Some(last.sequence) && last.group == place.group;
        if state.cursor.last().as_ref().is_some_and(is_over) {
            return Err(WriteError::GroupEnded(place.group));
        }
        if let Some(last) = state.entries.back().filter(|last| last.place().epoch == place.epoch) {
            let is_source = self.track.provenance().is_source();
            // A writer that is behind its source may have described the track for an epoch that its fragments have not reached.
            let is_same = Arc::ptr_eq(last.info(), info) || *last.info() == *info;
            if !is_source && !is_same && !state.source_changed {
                return Err(WriteError::Described);
            }
            check_time(last, media.decode_time, is_source)?;
        }
        Ok(())
    }

    /// Says that the newest group is complete, so that nobody has to wait for the next one to know. What would go on with it is refused.
    /// Says nothing where the next access point may join the same group, which another track has begun.
    pub fn end_group(&mut self) {
        let calendar = self.track.0.calendar.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.track.state();
        let is_over = |last: &&Fragment| calendar.is_past(last.place().group, last.presentation_time + last.duration);
        let Some(last) = state.entries.back().filter(is_over).map(|last| last.place().sequence) else { return };
        state.group_end = Some(last);
        drop(state);
        drop(calendar);
        self.track.0.wake.notify_waiters();
    }

    /// Ends the track: its consumers read what is left, then the end. Nothing can be written after.
    pub fn end(&mut self) {
        self.track.end();
    }
}

/// What the calendar needs to know.
fn timing(media: &Media) -> Timing {
    Timing { presentation_time: media.presentation_time, duration: media.duration, keyframe: media.marks.keyframe }
}

/// Checks that the time `given` may follow `last` in its epoch.
fn check_time(last: &Fragment, given: Time, is_source: bool) -> Result<(), WriteError> {
    if is_source {
        let last = last.decode_time;
        return if given < last { Err(WriteError::TimeWentBack { last, given }) } else { Ok(()) };
    }
    let final_sample = last.samples.last().map_or(0, |sample| sample.duration);
    let last = last.decode_time + last.duration - Time::new(final_sample.into(), last.duration.scale());
    if given > last {
        return Ok(());
    }
    Err(WriteError::TimeNotRising { last: last.rescale(given.scale()), given })
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.track.state().has_writer = false;
        if !self.track.provenance().is_source() {
            self.track.end();
        }
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Producer").field(&self.track).finish()
    }
}
