//! Events of the source as date ranges in every playlist.

use std::time::Duration;

use bytes::Bytes;
use millrace_cmaf::write::Event;
use millrace_media::Time;
use millrace_media::track::{Format, Info};

use super::http::Site;
use super::rules::{Parsed, attribute, parse};
use super::source::{Arrival, Pictures, Source, media, track};
use crate::hls::ranges::splice::tests::{cancelled, insert, signal};
use crate::hls::{DATE_RANGE_SCHEME, Settings};

const SCTE35: &str = "urn:scte:scte35:2013:bin";
/// Where the sources' timelines begin.
const ORIGIN: f64 = 10.0;

/// An event that happens `at` seconds into the epoch.
fn event(scheme: &str, id: u32, at: f64, data: impl Into<Bytes>) -> Event {
    Event {
        scheme: scheme.into(),
        value: "me".into(),
        presentation_time: Time::from_micros(((ORIGIN + at) * 1e6) as i64),
        duration: None,
        id,
        data: data.into(),
    }
}

/// A source with events, each with the time at which it comes.
fn site(events: impl IntoIterator<Item = (f64, Event)>) -> Site {
    let mut source = Source::new(Some(Pictures::regular(90_000, 3_000, 60)), Arrival::Steady);
    source.events = events.into_iter().collect();
    Site::of(source, Settings::default())
}

impl Site {
    async fn list(&self, track: &str, query: &str) -> Parsed {
        parse(self.get(&format!("/hls/live/demo/{track}/playlist.m3u8{query}")).await.text())
    }

    /// The ranges, which are the same in every playlist and in a delta update.
    async fn ranges(&self) -> Vec<String> {
        let ranges = self.list("video", "").await.ranges;
        assert_eq!(self.list("audio", "").await.ranges, ranges);
        let delta = self.list("video", "?_HLS_skip=YES").await;
        assert_eq!(delta.ranges, ranges);
        ranges
    }
}

/// Milliseconds of a day out of a date as the playlists write it.
fn millis(date: &str) -> i64 {
    let time = date.split_once('T').unwrap().1.trim_end_matches('Z');
    let parts: Vec<f64> = time.split(':').map(|part| part.parse().unwrap()).collect();
    ((parts[0] * 3_600.0 + parts[1] * 60.0 + parts[2]) * 1e3).round() as i64
}

fn seconds(range: &str, name: &str) -> Option<f64> {
    attribute(range, name).map(|value| value.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_break_is_announced_before_its_time_and_ended_by_its_return() {
    // Repeated with each group, the last time after it has begun; the return comes two seconds ahead.
    let out = insert(42, true, Some(8));
    let repeats = [4.0, 6.0, 8.0, 10.0].map(|at| (at, event(SCTE35, at as u32, 9.0, out.clone())));
    let back = (15.0, event(SCTE35, 99, 17.5, insert(42, false, None)));
    let mut site = site(repeats.into_iter().chain([back]));
    site.run(5.0).await;
    let ranges = site.ranges().await;
    assert_eq!(ranges.len(), 1, "{ranges:?}");
    assert_eq!(attribute(&ranges[0], "SCTE35-OUT").unwrap().len(), 2 + 2 * out.len());
    assert_eq!(seconds(&ranges[0], "PLANNED-DURATION"), Some(8.0));
    assert_eq!((seconds(&ranges[0], "DURATION"), attribute(&ranges[0], "SCTE35-IN")), (None, None));

    // The date of the range is that of the media, to the millisecond.
    site.run(12.0).await;
    let start = attribute(&ranges[0], "START-DATE").unwrap();
    let playlist = site.list("video", "").await;
    let first = &playlist.segments[0];
    let at_start = (9.0 - first.number as f64 * 2.0) * 1e3;
    assert!((millis(&start) - millis(&first.date_time) - at_start as i64).abs() <= 1, "{start}, {first:?}");
    assert_eq!(site.ranges().await, ranges, "repeats say nothing new");

    site.run(16.0).await;
    let ended = site.ranges().await;
    assert_eq!(ended.len(), 1);
    assert!(ended[0].starts_with(&ranges[0]), "what was said stays: {ended:?}");
    assert_eq!(seconds(&ended[0], "DURATION"), Some(8.5));
    assert!(attribute(&ended[0], "SCTE35-IN").is_some());

    // It leaves with the last segment that it overlaps.
    let mut until = 16.0;
    while !site.ranges().await.is_empty() {
        until += 1.0;
        assert!(until < 80.0, "the range stays for ever");
        site.run(until).await;
    }
    assert!(site.list("video", "").await.segments[0].number >= 9, "17.5 s are over");
    site.run(until + 2.0).await;
    assert!(site.ranges().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_change_is_in_the_next_answer_though_no_segment_came() {
    let mut site = site([(5.5, event(SCTE35, 1, 20.0, signal(5, 0x34)))]);
    site.run(5.49).await;
    let before = site.list("audio", "").await;
    assert!(before.ranges.is_empty());
    // The picture with the event ends no part.
    site.run(5.54).await;
    let after = site.list("audio", "").await;
    assert_eq!((after.segments.len(), after.ranges.len()), (before.segments.len(), 1));
    assert!(attribute(&after.ranges[0], "ID").unwrap().starts_with("scte35-5-34-"), "{:?}", after.ranges);
}

#[tokio::test(start_paused = true)]
async fn breaks_are_moved_and_cancelled_before_they_begin() {
    let mut site = site([
        (4.0, event(SCTE35, 1, 30.0, insert(1, true, Some(5)))),
        (4.0, event(SCTE35, 2, 31.0, insert(2, true, Some(5)))),
        (6.0, event(SCTE35, 3, 40.0, insert(1, true, Some(5)))),
        (6.0, event(SCTE35, 4, 31.0, cancelled(2))),
    ]);
    site.run(5.0).await;
    let before = site.ranges().await;
    assert_eq!(before.len(), 2, "{before:?}");
    site.run(7.0).await;
    let after = site.ranges().await;
    assert_eq!(after.len(), 1, "{after:?}");
    let start = |range: &str| millis(&attribute(range, "START-DATE").unwrap());
    assert_eq!(start(&after[0]) - start(&before[0]), 10_000);
    assert_ne!(attribute(&after[0], "ID"), attribute(&before[0], "ID"));
}

#[tokio::test(start_paused = true)]
async fn events_spell_out_ranges_of_their_own() {
    let list = r#"CLASS="com.apple.hls.interstitial",X-ASSET-URI="https://ads.example/1.m3u8""#;
    let known = Event { duration: Some(Time::from_millis(1_500)), ..event(DATE_RANGE_SCHEME, 3, 8.0, list) };
    let mut site = site([
        (4.0, event(DATE_RANGE_SCHEME, 3, 8.0, list)),
        // Refused, and of a scheme that is none of ours.
        (4.0, event(DATE_RANGE_SCHEME, 4, 8.0, "ID=\"x\"\n#EXT-X-ENDLIST")),
        (4.0, event("https://aomedia.org/emsg/ID3", 5, 8.0, "ID3")),
        (6.0, known),
        (6.0, event(DATE_RANGE_SCHEME, 3, 8.0, r#"X-ASSET-URI="https://ads.example/2.m3u8",X-RESTRICT="SKIP""#)),
    ]);
    site.run(5.0).await;
    let ranges = site.ranges().await;
    assert_eq!(ranges.len(), 1, "{ranges:?}");
    assert!(ranges[0].ends_with(list) && ranges[0].contains("ID=\"event-me-3-"), "{ranges:?}");
    site.run(7.0).await;
    let ranges = site.ranges().await;
    assert_eq!(ranges.len(), 1, "{ranges:?}");
    assert!(ranges[0].ends_with(&format!("{list},DURATION=1.500,X-RESTRICT=\"SKIP\"")), "{ranges:?}");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_events_is_bounded() {
    let many =
        (0..2_000u32).map(|n| (4.0 + f64::from(n) / 500.0, event(DATE_RANGE_SCHEME, n, 20.0 + f64::from(n), "X-A=1")));
    let wide = format!("X-A=\"{}\"", "a".repeat(4_000));
    let wide = (0..200u32).map(|n| (9.0, event(DATE_RANGE_SCHEME, 5_000 + n, 20.0, wide.clone())));
    let far = [(10.0, event(SCTE35, 1, 200_000.0, insert(1, true, None)))];
    let mut site = site(many.chain(wide).chain(far));
    site.run(8.5).await;
    assert_eq!(site.ranges().await.len(), 64);
    site.run(11.0).await;
    let ranges = site.ranges().await;
    assert!(ranges.len() <= 64 && ranges.iter().map(String::len).sum::<usize>() <= 64 << 10);
    assert!(ranges.iter().all(|range| !range.contains("SCTE35")), "two days ahead");
}

#[tokio::test(start_paused = true)]
async fn ranges_stay_through_the_publishers_return() {
    let mut site = site([(4.0, event(SCTE35, 1, 6.0, insert(1, true, Some(600))))]);
    site.run(9.0).await;
    let before = site.ranges().await;
    site.source.returns(Duration::from_secs(3), 500);
    site.run(6.0).await;
    let ranges = site.ranges().await;
    assert_eq!((ranges.len(), &ranges), (1, &before));
}

#[tokio::test(start_paused = true)]
async fn the_samples_of_an_event_message_track_are_ranges_and_the_track_is_not_listed() {
    let mut site = site([]);
    let scale = millrace_media::Timescale::MILLIS;
    let info = Info {
        codec: millrace_cmaf::EVENT_MESSAGES.into(),
        timescale: scale,
        format: Format::Data,
        language: None,
        bitrate: None,
        init: Bytes::from_static(b"data header"),
    };
    site.run(4.0).await;
    let mut data = site.source.publisher.as_ref().unwrap().create_track(track("data"), info).unwrap();
    // An `emib` (ISO/IEC 23001-18, 6.1) of an event 4 s after its sample.
    let section = insert(9, true, Some(5));
    let mut body = b"emib\0\0\0\0\0\0\0\0".to_vec();
    body.extend_from_slice(&4_000i64.to_be_bytes());
    body.extend_from_slice(&[0xff; 4]);
    body.extend_from_slice(&[0, 0, 0, 1]);
    body.extend_from_slice(b"urn:scte:scte35:2013:bin\0\0");
    body.extend_from_slice(&section);
    let mut sample = (body.len() as u32 + 4).to_be_bytes().to_vec();
    sample.extend_from_slice(&body);
    let mut event = media(((ORIGIN + 4.0) * 1e3) as i64, 1_000, &[500], true, sample.len());
    let mut payload = millrace_media::Payload::default();
    assert!(payload.push(sample.into()));
    event.payload = payload;
    data.write(event).unwrap();
    site.run(5.0).await;
    let ranges = site.ranges().await;
    assert_eq!(ranges.len(), 1, "{ranges:?}");
    assert!(attribute(&ranges[0], "ID").unwrap().starts_with("scte35-9-"), "{ranges:?}");
    let first = site.list("video", "").await.segments.remove(0);
    let start = attribute(&ranges[0], "START-DATE").unwrap();
    assert!((millis(&start) - millis(&first.date_time) - 8_000).abs() <= 1, "{start}, {first:?}");
    let master = site.get("/hls/live/demo/master.m3u8").await;
    assert!(!master.text().contains("data"), "{}", master.text());
}
