//! `resource verdict` of `interface media`.

use millrace_media::{Media, Time};
use wasmtime::component::{Resource, ResourceTableError};

use super::{FragmentHandle, Outcome};
use crate::bindings::millrace::plugin::media::HostVerdict;
use crate::bindings::millrace::plugin::types::Error;
use crate::state::State;

/// What becomes of a fragment in a filter's hands.
#[derive(Debug, Default)]
pub(crate) enum Verdict {
    /// It passes as it is.
    #[default]
    Pass,
    /// It goes no further.
    Discard,
    /// This goes on in its place. It is of the same track and has the same decode time; nothing else is checked yet.
    Replace(Box<Media>),
}

/// Collects what a filter says about the fragment it was lent.
#[derive(Debug)]
pub struct VerdictHandle {
    /// The track of the fragment.
    track: u32,
    /// When the fragment is decoded; none while nothing is lent.
    at: Option<Time>,
    verdict: Verdict,
}

impl State {
    /// Lends a verdict on a fragment for a call. Takes no memory after the first.
    pub(crate) fn lend_verdict(&mut self, track: u32, at: Time) -> Result<Resource<VerdictHandle>, ResourceTableError> {
        let handle = VerdictHandle { track, at: Some(at), verdict: Verdict::Pass };
        if let Some(rep) = self.verdict {
            *self.table.get_mut(&Resource::new_borrow(rep))? = handle;
            return Ok(Resource::new_borrow(rep));
        }
        let rep = self.table.push(handle)?.rep();
        self.verdict = Some(rep);
        Ok(Resource::new_borrow(rep))
    }

    /// What was said to the verdict that was lent.
    pub(crate) fn take_verdict(&mut self) -> Verdict {
        let handle = self.verdict.and_then(|rep| self.table.get_mut(&Resource::<VerdictHandle>::new_borrow(rep)).ok());
        handle.map_or(Verdict::Pass, |handle| {
            handle.at = None;
            std::mem::take(&mut handle.verdict)
        })
    }
}

impl HostVerdict for State {
    fn discard(&mut self, verdict: Resource<VerdictHandle>) -> wasmtime::Result<()> {
        self.table.get_mut(&verdict)?.verdict = Verdict::Discard;
        Ok(())
    }

    fn replace(&mut self, verdict: Resource<VerdictHandle>, by: Resource<FragmentHandle>) -> Outcome<()> {
        // The handle is the host's now, whatever comes of it.
        let by = self.delete_fragment(by)?;
        let verdict = self.table.get_mut(&verdict)?;
        if by.of_track() != verdict.track {
            let (given, expected) = (by.of_track(), verdict.track);
            return Ok(Err(Error::Invalid(format!("a fragment of track {given} in place of one of track {expected}"))));
        }
        let media = by.into_media()?;
        if let Some(at) = verdict.at
            && media.decode_time != at
        {
            let (given, expected) = (media.decode_time.ticks(), at.ticks());
            return Ok(Err(Error::Invalid(format!(
                "a fragment decoded at {given} in place of one decoded at {expected}"
            ))));
        }
        verdict.verdict = Verdict::Replace(media);
        Ok(Ok(()))
    }

    fn drop(&mut self, verdict: Resource<VerdictHandle>) -> wasmtime::Result<()> {
        self.table.delete(verdict)?;
        Ok(())
    }
}
