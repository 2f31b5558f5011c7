//! Native encoders steered by plugins, on real pictures.

use millrace_media::track::Format;
use millrace_transcode::Runner;

use crate::host::{Observed, engine, ladder, load, misbehave, read, rendition, shipped, stats, until};
use crate::source::{GROUP, Source, bus};

#[tokio::test]
async fn the_ladder_makes_the_renditions_that_fit_the_source() {
    let plugins = engine();
    let bus = bus();
    let factory = shipped(&plugins, "ladder").await;
    let runner = Runner::start(&bus, vec![factory], ladder([rendition("480p", 854, 480), rendition("90p", 160, 90)]));
    let mut source = Source::pictures(&bus);
    let broadcast = source.broadcast();
    let written = source.write(3 * GROUP as usize);
    until("the rung is there", || broadcast.track("90p").is_some()).await;
    source.finish();
    let rung = read(&broadcast, "90p", usize::MAX).await;
    assert_eq!(rung.len(), written.len());
    for (picture, original) in rung.iter().zip(&written) {
        assert_eq!(picture.place().group, original.place().group);
        assert_eq!(picture.presentation_time, original.presentation_time);
        assert_eq!(picture.starts_group(), original.starts_group());
    }
    let Format::Video { width, height, .. } = rung[0].info().format else { panic!("it is video") };
    assert_eq!((width, height), (160, 90));
    assert!(broadcast.track("480p").is_none());
    runner.shutdown().await;
}

#[tokio::test]
async fn an_instance_that_follows_a_fault_finds_its_encoder() {
    let plugins = engine();
    let bus = bus();
    let encode = Observed::new(load(&plugins, misbehave("encode")).await.unwrap());
    let runner = Runner::start(&bus, vec![encode.clone()], ladder([rendition("90p", 160, 90)]));
    let mut source = Source::pictures(&bus);
    let broadcast = source.broadcast();
    // The first instance traps on the third picture of the second group; the next begins with the third group.
    let written = source.write(3 * GROUP as usize);
    until("it has trapped", || encode.faults().len() == 1).await;
    source.finish();
    let rung = read(&broadcast, "90p", usize::MAX).await;
    let groups: Vec<_> = written.iter().step_by(GROUP as usize).map(|fragment| fragment.place().group).collect();
    let of_group = |index: usize| rung.iter().filter(|fragment| fragment.place().group == groups[index]).count();
    assert_eq!([of_group(0), of_group(2)], [GROUP as usize; 2]);
    // One track, one header: nobody who plays it has to begin again.
    assert!(rung.iter().all(|fragment| fragment.info() == rung[0].info()));
    runner.shutdown().await;
}

#[tokio::test]
async fn an_encoder_takes_other_settings_with_the_next_group_and_is_the_same_track() {
    let plugins = engine();
    let bus = bus();
    let encode = Observed::new(load(&plugins, misbehave("encode-reconfigured")).await.unwrap());
    let runner = Runner::start(&bus, vec![encode.clone()], ladder([rendition("90p", 160, 90)]));
    let mut source = Source::pictures(&bus);
    let broadcast = source.broadcast();
    let written = source.write(28);
    // What has been encoded by the last fragment is looked at by the plugin.
    read(&broadcast, "90p", 20).await;
    let all = written.len() + source.write(2).len();
    until("all are given", || stats(&runner, "encode-reconfigured").fragments == all as u64).await;
    source.finish();
    let rung = read(&broadcast, "90p", usize::MAX).await;
    assert_eq!((rung.len(), encode.faults()), (all, vec![]));
    assert!(rung.iter().all(|fragment| fragment.info() == rung[0].info()));
    runner.shutdown().await;
}
