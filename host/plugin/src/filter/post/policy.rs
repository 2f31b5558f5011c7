//! What becomes of a fragment, as the filter or the operator's policy says, and what becomes of faults.

use millrace_media::Fragment;
use millrace_transcode::factory::{Cause, Fault, Policy};
use millrace_transcode::stats::Phase;

use super::{Decided, Post, State};
use crate::filter::replacement;
use crate::imports::Verdict;

impl Post {
    /// What the filter said, as far as it can be done.
    pub(super) fn take(&mut self, id: u32, fragment: &Fragment, verdict: Verdict) -> Decided {
        let by = match verdict {
            Verdict::Pass => {
                self.counters.passed();
                return Decided::Pass;
            }
            Verdict::Discard => {
                self.counters.discarded();
                return Decided::Discard;
            }
            Verdict::Replace(by) => by,
        };
        let kind = self.tracks.iter().find(|track| track.is(id)).map(|track| track.source.info.kind());
        let Some(kind) = kind else { return Decided::Pass };
        match replacement::check(kind, fragment, &by, self.plugin.loaded.limits.fragment) {
            Ok(()) => {
                self.counters.replaced();
                Decided::Replace(by)
            }
            Err(unfit) => {
                self.counters.refused();
                let fault = format!("its replacement of a fragment is not taken: {unfit}");
                self.faulted(Phase::Fragment, &Fault::Returned(fault));
                self.policy()
            }
        }
    }

    /// The policy decides about a fragment that the instance is not given. It gets none of the track before the next group.
    pub(super) fn without(&mut self, id: u32, cause: Cause) -> Decided {
        if let Some(track) = self.tracks.iter_mut().find(|track| track.is(id)) {
            track.skip(cause);
        }
        self.policy()
    }

    pub(super) fn policy(&self) -> Decided {
        self.counters.by_policy();
        match self.plugin.breaker.policy {
            Policy::Bypass => Decided::Pass,
            Policy::Drop => Decided::Discard,
            Policy::Fail => Decided::Fail,
        }
    }

    /// Counts a fault, and opens the breaker where it is one too many. Where there is no room, nothing changes.
    pub(super) fn faulted(&mut self, phase: Phase, fault: &Fault) {
        if matches!(fault, Fault::NoRoom(_)) {
            self.counters.no_room();
            if !std::mem::replace(&mut self.no_room_logged, true) {
                self.report(phase, fault);
            }
            return;
        }
        self.counters.fault(phase);
        self.report(phase, fault);
        if self.faults.add(self.common.began.elapsed()) && !matches!(self.instance, State::Open(_)) {
            let policy = self.plugin.breaker.policy;
            let track = self.track.as_ref().map(|track| track.name().as_str());
            tracing::error!(
                plugin = self.plugin.loaded.name,
                broadcast = %self.broadcast,
                track,
                policy = policy.as_str(),
                "the breaker opens: the filter is not called here any more"
            );
            self.ends.clear();
            self.calls = None;
            self.set(State::Open(policy));
        }
    }

    fn report(&self, phase: Phase, fault: &Fault) {
        let track = self.track.as_ref().map(|track| track.name().as_str());
        tracing::warn!(
            plugin = self.plugin.loaded.name,
            broadcast = %self.broadcast,
            track,
            phase = phase.as_str(),
            %fault,
            "a filter has faulted"
        );
    }
}
