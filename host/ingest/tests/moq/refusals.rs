//! What is not taken, and that those who are there lose nothing by it.

use millrace_ingest::moq::{Grant, Settings};
use millrace_media::BroadcastName;
use moq_transport::message::RequestErrorCode;
use moq_transport::serve::ServeError;
use moq_transport::session::SessionError;

use crate::catalogs::{hang, msf, object};
use crate::media;
use crate::stage::{Stage, ietf_group, ietf_track, net_track, within};

fn code(error: &SessionError) -> Option<u64> {
    match error {
        SessionError::Serve(ServeError::Closed(code)) => Some(*code),
        _ => None,
    }
}

#[tokio::test]
async fn a_name_that_is_live_is_refused_and_the_first_loses_nothing() {
    let (stage, video, audio) = (Stage::new(), media::video(), media::audio("aac"));
    let mut first = stage.ietf().await;
    let (mut tracks, reader) = first.namespace("live/me");
    let mut written = [
        ietf_track(&mut tracks, "catalog", &object(&msf(&[("v", video)]))),
        ietf_track(&mut tracks, "v", &video.groups[..1]),
    ];
    first.announce(reader);
    let broadcast = stage.broadcast("live/me").await;
    stage.fragments(&broadcast, "video", 25).await;

    // Announced and pushed through one stack, announced through the other.
    let mut second = stage.ietf().await;
    let (mut other, mut reader) = second.namespace("live/me");
    let _other = ietf_track(&mut other, "v", &video.groups);
    let error = within(second.publisher.publish_namespace(reader.clone())).await.unwrap_err();
    assert_eq!(code(&error), Some(RequestErrorCode::Uninterested as u64), "{error}");
    let namespace = reader.namespace.clone();
    let pushed = reader.get_track_reader(&namespace, "v").unwrap();
    let pushed = within(second.publisher.publish(pushed, Default::default())).await.unwrap();
    within(pushed.serve()).await.unwrap_err();
    let third = stage.net().await;
    let taken = third.broadcast("live/me");
    let _third = [
        net_track(&taken, "catalog.json", &object(&hang(video, &audio))),
        net_track(&taken, "v", &video.groups),
        net_track(&taken, "a", &audio.groups),
    ];
    taken.announce(Default::default()).unwrap();
    // What else the session announces is taken: it is behind the one that was refused.
    let free = third.broadcast("live/other");
    let _free = [
        net_track(&free, "catalog.json", &object(&hang(video, &audio))),
        net_track(&free, "v", &video.groups),
        net_track(&free, "a", &audio.groups),
    ];
    free.announce(Default::default()).unwrap();
    let beside = stage.broadcast("live/other").await;
    stage.fragments(&beside, "video", 75).await;

    for (number, group) in (1..).zip(&video.groups[1..]) {
        ietf_group(&mut written[1], number, group);
    }
    let v = video.bytes();
    assert_eq!(stage.samples(&broadcast, "video", v.len()).await, v);
    assert_eq!(broadcast.tracks().len(), 1);
}

#[tokio::test]
async fn what_lies_outside_of_the_grant_is_refused() {
    let stage = Stage::with(Settings::default(), Grant::Below("live/me".to_owned()));
    let (video, audio) = (media::video(), media::audio("aac"));
    let mut ietf = stage.ietf().await;
    let (_tracks, reader) = ietf.namespace("live/you");
    let error = within(ietf.publisher.publish_namespace(reader)).await.unwrap_err();
    assert_eq!(code(&error), Some(RequestErrorCode::Unauthorized as u64), "{error}");

    let net = stage.net().await;
    let mut kept = Vec::new();
    for path in ["live/meme", "live/me/too"] {
        let published = net.broadcast(path);
        let tracks = [
            net_track(&published, "catalog.json", &object(&hang(video, &audio))),
            net_track(&published, "v", &video.groups),
            net_track(&published, "a", &audio.groups),
        ];
        published.announce(Default::default()).unwrap();
        kept.push((published, tracks));
    }
    let broadcast = stage.broadcast("live/me/too").await;
    stage.fragments(&broadcast, "video", 75).await;
    for name in ["live/you", "live/meme"] {
        assert!(stage.bus.broadcast(&BroadcastName::new(name).unwrap()).is_none(), "{name}");
    }
}

#[tokio::test]
async fn names_that_are_none_and_one_too_many_are_refused() {
    let settings = Settings { max_broadcasts: 1, ..Settings::default() };
    let stage = Stage::with(settings, Grant::Below(String::new()));
    let mut ietf = stage.ietf().await;
    let (_odd, reader) = ietf.namespace("live/a b");
    let error = within(ietf.publisher.publish_namespace(reader)).await.unwrap_err();
    assert_eq!(code(&error), Some(RequestErrorCode::NotSupported as u64), "{error}");
    let (_one, reader) = ietf.namespace("live/one");
    ietf.announce(reader);
    stage.broadcast("live/one").await;
    let (_two, reader) = ietf.namespace("live/two");
    let error = within(ietf.publisher.publish_namespace(reader)).await.unwrap_err();
    assert_eq!(code(&error), Some(RequestErrorCode::ExcessiveLoad as u64), "{error}");
}
