//! The filters of one broadcast, in their order.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use futures::future::join_all;
use millrace_media::stage::{self, Chain, Missing};
use millrace_media::track::{Info, Track};
use millrace_media::{Broadcast, BroadcastName, Fragment, broadcast};
use millrace_transcode::factory::{Cause, Scope, SourceTrack, TrackEnd};
use tokio::runtime::Handle;

use super::post::{Decided, Post};
use super::{Common, FilterPlugin};

/// See the [module](self).
pub(super) struct PluginChain {
    links: Vec<Link>,
    /// Posts whose track is over.
    leaving: Vec<Post>,
    /// How far the fragment at hand has come.
    progress: Progress,
    broadcast: BroadcastName,
    life: broadcast::Weak,
    threads: Handle,
    common: Arc<Common>,
}

/// One plugin.
struct Link {
    plugin: Arc<FilterPlugin>,
    /// One for the broadcast, or one for each track.
    posts: Vec<Post>,
}

/// Kept outside the future that decides about a fragment, which may be dropped.
#[derive(Default)]
struct Progress {
    /// The link that decides next.
    next: usize,
    /// What the links before it have made of the fragment.
    replaced: Option<Fragment>,
}

impl Link {
    fn post(&mut self, id: u32) -> Option<&mut Post> {
        self.posts.iter_mut().find(|post| post.has(id))
    }
}

impl PluginChain {
    pub(super) fn new(
        plugins: Vec<Arc<FilterPlugin>>,
        broadcast: &Broadcast,
        threads: Handle,
        common: Arc<Common>,
    ) -> Self {
        common.chains.send_modify(|chains| *chains += 1);
        let links = plugins.into_iter().map(|plugin| Link { plugin, posts: Vec::new() }).collect();
        let (name, life) = (broadcast.name().clone(), broadcast.downgrade());
        let (leaving, progress) = (Vec::new(), Progress::default());
        Self { links, leaving, progress, broadcast: name, life, threads, common }
    }

    /// Ends a fragment's way through the chain after the link at `at`.
    fn leave(&mut self, at: usize, id: u32, decided: Decided) -> stage::Verdict {
        let Progress { replaced, .. } = std::mem::take(&mut self.progress);
        match decided {
            Decided::Pass => replaced.map_or(stage::Verdict::Pass, |by| stage::Verdict::Replace(by.into_media())),
            Decided::Replace(media) => stage::Verdict::Replace(*media),
            Decided::Discard | Decided::Fail => {
                for post in self.links[at + 1..].iter_mut().filter_map(|link| link.post(id)) {
                    post.miss(id, 1, Cause::Filter);
                }
                decided.into()
            }
        }
    }
}

#[async_trait]
impl Chain for PluginChain {
    fn track(&mut self, id: u32, track: &Track, info: &Arc<Info>) {
        let source = SourceTrack { id, track: track.clone(), info: info.clone() };
        for link in self.links.iter_mut().filter(|link| link.plugin.wishes.kinds.contains(&info.kind())) {
            let of_track = (link.plugin.wishes.scope != Scope::Broadcast).then_some(track);
            let known = link.posts.iter().position(|post| of_track.is_none_or(|track| post.is_for(track)));
            let at = known.unwrap_or_else(|| {
                let broadcast = (&self.broadcast, &self.life);
                link.posts.push(Post::new(&link.plugin, &self.common, &self.threads, broadcast, of_track));
                link.posts.len() - 1
            });
            link.posts[at].add(source.clone());
        }
    }

    fn track_end(&mut self, id: u32, why: stage::TrackEnd) {
        let (why, is_over) = match why {
            stage::TrackEnd::Ended => (TrackEnd::Ended, true),
            stage::TrackEnd::Changed => (TrackEnd::Changed, false),
            stage::TrackEnd::PublisherLost => (TrackEnd::PublisherLost, false),
        };
        for link in &mut self.links {
            let Some(at) = link.posts.iter().position(|post| post.has(id)) else { continue };
            link.posts[at].end(id, why);
            if is_over && link.plugin.wishes.scope != Scope::Broadcast {
                self.leaving.push(link.posts.remove(at));
            }
        }
    }

    fn missing(&mut self, id: u32, fragments: u64, why: Missing) {
        let cause = match why {
            Missing::Source => Cause::Source,
            Missing::Discarded => Cause::Filter,
        };
        self.links.iter_mut().filter_map(|link| link.post(id)).for_each(|post| post.miss(id, fragments, cause));
    }

    async fn settle(&mut self) {
        for post in self.links.iter_mut().flat_map(|link| &mut link.posts) {
            post.settle().await;
        }
        let why = self.common.end();
        while let Some(post) = self.leaving.last_mut() {
            post.stop(why).await;
            self.leaving.pop();
        }
    }

    async fn fragment(&mut self, id: u32, fragment: &Fragment) -> stage::Verdict {
        self.progress = Progress::default();
        while let Some(link) = self.links.get_mut(self.progress.next) {
            let given = self.progress.replaced.as_ref().unwrap_or(fragment);
            let decided = match link.post(id) {
                Some(post) => post.fragment(id, given).await,
                None => Decided::Pass,
            };
            match decided {
                Decided::Pass => {}
                Decided::Replace(media) => self.progress.replaced = Some(fragment.replaced(*media)),
                Decided::Discard | Decided::Fail => return self.leave(self.progress.next, id, decided),
            }
            self.progress.next += 1;
        }
        self.leave(self.links.len(), id, Decided::Pass)
    }

    fn decide(&mut self, id: u32, _: &Fragment) -> stage::Verdict {
        while let Some(link) = self.links.get_mut(self.progress.next) {
            let decided = link.post(id).map_or(Decided::Pass, |post| post.decide(id));
            if matches!(decided, Decided::Discard | Decided::Fail) {
                return self.leave(self.progress.next, id, decided);
            }
            self.progress.next += 1;
        }
        self.leave(self.links.len(), id, Decided::Pass)
    }

    async fn idle(&mut self) {
        loop {
            let called = poll_fn(|context| {
                let mut posts = self.links.iter_mut().flat_map(|link| &mut link.posts);
                let called = posts.position(|post| post.poll_called(context).is_ready());
                called.map_or(Poll::Pending, Poll::Ready)
            });
            let called = called.await;
            if let Some(post) = self.links.iter_mut().flat_map(|link| &mut link.posts).nth(called) {
                post.attend().await;
            }
        }
    }

    async fn stop(&mut self) {
        let why = self.common.end();
        let posts = self.links.iter_mut().flat_map(|link| &mut link.posts).chain(&mut self.leaving);
        join_all(posts.map(|post| post.stop(why))).await;
    }
}

impl Drop for PluginChain {
    fn drop(&mut self) {
        // Whoever waits for the chains counts on their instances being gone.
        self.links.clear();
        self.leaving.clear();
        self.common.chains.send_modify(|chains| *chains -= 1);
    }
}
