//! Media over QUIC: everything on a bus, to whoever subscribes to it.
//!
//! Two libraries speak to clients, and both are given the same: `moq-net` (moq-lite, and drafts of MoQ Transport) an
//! [origin](Moq::origin) that all sessions share, `moq-transport` (draft-ietf-moq-transport-18) [answers](Moq::serve) in each session.
//!
//! **Names.** A broadcast is served under its own name, `live/demo`, and each rung of it with its sound as a view of its own,
//! `live/demo/480p`: as a path in moq-lite, and as a namespace of one field an element in MoQ Transport. Names are announced when their
//! first track is described, and taken back when the last has ended; while a publisher is awaited they stay.
//!
//! | track | what |
//! | --- | --- |
//! | `catalog.json` | the hang catalog: source, live rungs, sound; of a view, the rung and its sound |
//! | `catalog` | the same as an MSF catalog, with CMAF packaging |
//! | `.catalog` | for clients that know no other: the picture of the broadcast or the view, whose header is in `0.mp4` |
//! | `events` | the source's events as an MSF event timeline; the MSF catalog lists it once there are any |
//! | a track's name | the track, also of text and data, which no catalog lists |
//!
//! A track whose name is that of a catalog cannot be reached. One that is called `events` is served in the timeline's place.
//!
//! **Groups and objects.** The groups of a track are those of the broadcast's [calendar](millrace_media::calendar), for sound as for
//! pictures, and have its numbers, which rise across a publisher's return and a restart. An object is a fragment, `moof` and `mdat`, byte
//! for byte as the bus has it. All objects of a group are of one subgroup, 0. A catalog's group is one object, a whole catalog; there is a
//! new one whenever a track comes, goes or is described anew, and it has a number as high as the milliseconds since the Unix epoch.
//!
//! **Joining.** A subscription begins with the newest group, from its keyframe. In MoQ Transport a subscriber who wants what comes
//! next alone, by its filter, is told how far the track is and has the rest by a joining FETCH. What is in the bus's window can be
//! fetched.
//!
//! **Priorities.** Newer groups of a track go before older ones. With draft 18 catalogs go before sound, and sound before pictures;
//! `moq-net` goes by what its subscribers ask for.
//!
//! **Who may play.** Where a session's [`Guard`] is not open, it is asked about every broadcast that the client subscribes to, fetches from
//! or asks the status of, and about every name before it is announced to the client: a name that the client may not play is not told. A
//! rendition's view is played by whoever may play its broadcast. What is allowed under another name is played under the name asked for;
//! with `moq-net`, where only what was announced can be asked for, that name has to be live itself. A subscription or a fetch that is no
//! longer allowed ends with UNAUTHORIZED; with `moq-net`, where tracks under way have no such end, the session does.
//!
//! **Slow subscribers.** Nobody waits for one. What it has not taken of an old group when newer ones have taken the connection is dropped:
//! what it has of a group is a beginning, never a beginning and an end. The same becomes of a group when the bus has let go fragments
//! that were to be sent, and of one that is longer than a library or the bus's window takes. Its rest is left out, and all goes on with the
//! next. A subscriber who is behind by the whole window is served no longer.

mod catalog;
mod events;
mod meters;
mod net;
mod priority;
mod pump;
mod registry;
mod transport;
mod view;

use std::fmt;
use std::sync::Arc;

use millrace_media::Bus;
use millrace_media::access::{Denied, Guard};
use millrace_supervise as supervise;
use moq_transport::session::Publisher;

use registry::Shared;

/// What MoQ is served with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Subscriptions, of names as of tracks, and fetches that a session of `moq-transport` may have at once; one more is refused. In
    /// sessions of `moq-net`, the streams that a client may open are the limit.
    pub max_subscriptions: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_subscriptions: 100 }
    }
}

/// Everything on a bus, over MoQ. When it is dropped, its tasks end.
pub struct Moq {
    shared: Arc<Shared>,
}

impl Moq {
    /// Follows everything on `bus`. Must be called within a Tokio runtime.
    pub fn new(bus: Bus, settings: Settings) -> Arc<Self> {
        let (origin, driver) = moq_net::origin::Producer::new(moq_net::origin::Config::default());
        let shared = Arc::new(Shared::new(bus, settings, origin));
        shared.spawn(async {
            moq_net::time::run(driver).await;
        });
        let watched = shared.clone();
        shared.spawn(supervise::restart("announcing over MoQ", move || registry::watch(watched.clone())));
        Arc::new(Self { shared })
    }

    /// For sessions of `moq-net`: what they publish.
    pub fn origin(&self) -> moq_net::origin::Consumer {
        self.shared.origin.consume()
    }

    /// The same for a session of `moq-net` of whose client `guard` is asked: an origin of the session's own, and the work of offering there
    /// what the client may play, and nothing else. Names outside of `root` are not asked about. The work comes to an end when the client
    /// may no longer play what it is playing: then the session has to be ended, since nothing else ends what it has been given.
    pub fn guarded_origin(
        &self,
        guard: Guard,
        root: &str,
    ) -> (moq_net::origin::Consumer, impl Future<Output = Denied> + Send + use<>) {
        net::guarded::origin(self.shared.clone(), guard, root.to_owned())
    }

    /// For sessions of `moq-transport`: answers all that the other side asks, as far as `guard` lets it play. Has to be dropped when the
    /// session has ended, and what it has begun ends with it.
    pub async fn serve(&self, publisher: Publisher, guard: Guard) {
        transport::serve(self.shared.clone(), publisher, guard).await;
    }

    /// As [`Moq::serve`], to a relay: announces every name as it comes, and serves the subscriptions that come back.
    pub async fn announce(&self, publisher: Publisher) {
        transport::announce(self.shared.clone(), publisher).await;
    }
}

impl Drop for Moq {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl fmt::Debug for Moq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Moq").field("names", &self.shared.names()).finish_non_exhaustive()
    }
}
