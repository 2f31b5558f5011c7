//! Publishers before a stage that decides about every fragment.

use millrace_media::stage::Verdict;

use crate::catalogs::{hang, object};
use crate::media;
use crate::native::Native;
use crate::stage::{Stage, net_track};

async fn publish(stage: &Stage) -> impl Sized + use<> {
    let (video, audio) = (media::video(), media::audio("aac"));
    let net = stage.net().await;
    let published = net.broadcast("live/me");
    let tracks = [
        net_track(&published, "catalog.json", &object(&hang(video, &audio))),
        net_track(&published, "v", &video.groups),
        net_track(&published, "a", &audio.groups),
    ];
    published.announce(Default::default()).unwrap();
    (net, published, tracks)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_comes_through_whole() {
    let native = Native::new(|_| Verdict::Pass);
    let ends = native.ends();
    let stage = Stage::filtered(native);
    let _published = publish(&stage).await;
    let broadcast = stage.broadcast("live/me").await;
    let fragments = stage.fragments(&broadcast, "video", 75).await;
    let groups: Vec<_> = fragments.iter().filter(|fragment| fragment.starts_group()).collect();
    assert_eq!(groups.len(), 3);
    // The end of a group comes behind its fragments.
    stage.group_end(&broadcast, "video").await;
    assert_eq!(ends(), []);
}

#[tokio::test]
async fn what_is_discarded_leaves_no_hole_in_a_group() {
    let discards = |fragment: &millrace_media::Fragment| {
        if fragment.place().object == 2 { Verdict::Discard } else { Verdict::Pass }
    };
    let stage = Stage::filtered(Native::new(discards));
    let _published = publish(&stage).await;
    let broadcast = stage.broadcast("live/me").await;
    let fragments = stage.fragments(&broadcast, "video", 6).await;
    let objects: Vec<_> = fragments.iter().map(|fragment| fragment.place().object).collect();
    assert_eq!(objects, [0, 1, 0, 1, 0, 1]);
}
