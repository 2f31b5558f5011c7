//! What ffprobe reads back.

use std::collections::BTreeMap;

use crate::program::run;

/// A packet of one stream, with times in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Packet {
    /// When it is decoded.
    pub decoded: f64,
    /// When it is shown.
    pub shown: f64,
    /// How long, where ffprobe knows.
    pub duration: Option<f64>,
}

/// Reads so many seconds of every stream that an address or a file has, by their numbers.
///
/// # Panics
/// Where ffprobe has anything to complain about.
pub fn packets(url: &str, seconds: u32) -> BTreeMap<u32, Vec<Packet>> {
    let interval = format!("%+{seconds}");
    let entries = "packet=stream_index,dts_time,pts_time,duration_time";
    let options =
        ["-v", "warning", "-show_entries", entries, "-of", "compact=nk=0:p=0", "-read_intervals", &interval, url];
    let text = run("ffprobe", options);
    let mut streams: BTreeMap<u32, Vec<Packet>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let field = |name: &str| {
            let value = line.split('|').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_else(|| panic!("no {name} in {line:?}"))
        };
        let time = |name: &str| field(name).parse::<f64>().unwrap_or_else(|_| panic!("no {name} in {line:?}"));
        let duration = field("duration_time").parse().ok();
        let packet = Packet { decoded: time("dts_time"), shown: time("pts_time"), duration };
        streams.entry(field("stream_index").parse().expect("a number")).or_default().push(packet);
    }
    streams
}

/// Checks that decode times rise, and no packet is missing: each begins where the one before it ends.
///
/// # Panics
/// Where that is not so, naming `what`.
pub fn expect_continuous(what: &str, packets: &[Packet], seconds: f64) {
    let mut steps: Vec<f64> = packets.windows(2).map(|pair| pair[1].decoded - pair[0].decoded).collect();
    let least = packets.windows(2).find(|pair| pair[1].decoded <= pair[0].decoded);
    assert!(least.is_none(), "{what}: decode times do not rise: {least:?}");
    steps.sort_by(f64::total_cmp);
    let usual = *steps.get(steps.len() / 2).unwrap_or_else(|| panic!("{what}: only {} packets", packets.len()));
    let hole = packets.windows(2).find(|pair| pair[1].decoded - pair[0].decoded > usual * 1.5);
    assert!(hole.is_none(), "{what}: packets are missing, usually {usual} s apart: {hole:?}");
    let wrong = packets.iter().find(|packet| packet.duration.is_some_and(|given| (given - usual).abs() > usual * 0.5));
    assert!(wrong.is_none(), "{what}: {wrong:?} does not last {usual} s");
    let span = steps.iter().sum::<f64>() + usual;
    assert!(span >= seconds, "{what}: {span} s were read, {seconds} s expected");
}
