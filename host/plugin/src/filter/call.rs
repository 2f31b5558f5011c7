//! A call into a filter's instance, as a future that can be left beside the path.

use std::future::{pending, poll_fn};
use std::task::Poll;
use std::time::{Duration, Instant};

use millrace_media::Fragment;
use millrace_transcode::factory::{Decision, Fault, Gap, SourceTrack, Stop, TrackEnd};
use millrace_transcode::stats::Phase;
use tokio::runtime::Handle;
use tokio_util::sync::ReusableBoxFuture;

use crate::imports::Verdict;
use crate::inbox;
use crate::instance::Instance;
use crate::threads::Owned;

/// What an instance is to be told, in this order.
#[derive(Default)]
pub(super) struct Job {
    pub(super) ends: Vec<(u32, TrackEnd)>,
    pub(super) offers: Vec<SourceTrack>,
    pub(super) gap: Option<Gap>,
    /// With its track. Left out where that was offered and is not accepted.
    pub(super) fragment: Option<(u32, Fragment)>,
    /// What it is called for between fragments.
    pub(super) call: Option<inbox::Call>,
    pub(super) stop: Option<Stop>,
}

/// What has come of it.
pub(super) struct Done {
    /// None where it is lost.
    pub(super) instance: Option<Box<Instance>>,
    pub(super) decisions: Vec<(u32, Decision)>,
    pub(super) faults: Vec<(Phase, Fault)>,
    /// What becomes of the fragment, where it was given and nothing went wrong with it.
    pub(super) verdict: Option<Verdict>,
    /// How long the call with the fragment took, in wall time.
    pub(super) took: Option<Duration>,
}

/// The call that an instance is in. Its memory is used again for the next one.
pub(super) struct Call(ReusableBoxFuture<'static, Done>);

impl Call {
    pub(super) fn new() -> Self {
        Self(ReusableBoxFuture::new(pending()))
    }

    /// Begins to tell an instance.
    pub(super) fn begin(&mut self, instance: Box<Instance>, job: Job) {
        self.0.set(run(instance, job));
    }

    /// Waits for its end, but not for longer than `patience`. Dropping the future leaves the call where it is.
    pub(super) async fn end(&mut self, patience: Duration) -> Option<Done> {
        // Nearly all are done at once.
        if let Poll::Ready(done) = poll_fn(|context| Poll::Ready(self.0.poll(context))).await {
            return Some(done);
        }
        tokio::time::timeout(patience, poll_fn(|context| self.0.poll(context))).await.ok()
    }

    /// Lets the call go on beside the path.
    pub(super) fn leave(&mut self, threads: &Handle) -> Owned<Done> {
        let mut call = std::mem::replace(&mut self.0, ReusableBoxFuture::new(pending()));
        Owned(threads.spawn(async move { call.get_pin().await }))
    }
}

/// Tells an instance, until it is lost.
async fn run(instance: Box<Instance>, job: Job) -> Done {
    let mut telling = Telling {
        instance,
        done: Done { instance: None, decisions: Vec::new(), faults: Vec::new(), verdict: None, took: None },
    };
    let survived = telling.all(job).await;
    let Telling { instance, mut done } = telling;
    done.instance = survived.then_some(instance);
    done
}

struct Telling {
    instance: Box<Instance>,
    done: Done,
}

impl Telling {
    /// False where the instance is lost.
    async fn all(&mut self, job: Job) -> bool {
        for (id, why) in job.ends {
            let told = self.instance.track_end(id, why).await;
            if !self.survives(Phase::Fragment, told.err()) {
                return false;
            }
        }
        let mut accepted = true;
        for source in job.offers {
            let decided = self.instance.track(&source).await;
            accepted = matches!(decided, Ok(Decision::Accept));
            match decided {
                Ok(decision) => self.done.decisions.push((source.id, decision)),
                Err(fault) => {
                    if !self.survives(Phase::Start, Some(fault)) {
                        return false;
                    }
                }
            }
        }
        if let Some((id, fragment)) = job.fragment
            && accepted
        {
            if let Some(gap) = job.gap {
                let told = self.instance.gap(gap).await;
                if !self.survives(Phase::Fragment, told.err()) {
                    return false;
                }
            }
            let began = Instant::now();
            let decided = self.instance.filter(id, &fragment).await;
            self.done.took = Some(began.elapsed());
            match decided {
                Ok(verdict) => self.done.verdict = Some(verdict),
                Err(fault) => {
                    if !self.survives(Phase::Fragment, Some(fault)) {
                        return false;
                    }
                }
            }
        }
        if let Some(call) = job.call {
            let called = self.instance.attend(call).await;
            if !self.survives(Phase::Call, called.err()) {
                return false;
            }
        }
        if let Some(why) = job.stop {
            let stopped = self.instance.stop(why).await;
            return self.survives(Phase::Stop, stopped.err());
        }
        true
    }

    fn survives(&mut self, phase: Phase, fault: Option<Fault>) -> bool {
        let Some(fault) = fault else { return true };
        let lost = matches!(fault, Fault::Lost(_));
        self.done.faults.push((phase, fault));
        !lost
    }
}
