//! A library for browsers, in Chromium, that knows objects and nothing of media.

use std::collections::BTreeMap;

use millrace_tests::{Film, Form, Publisher, Server, read_objects};

use super::{CONFIG, wait_for_rung};

const GROUPS: usize = 3;

#[test]
fn a_page_reads_objects_of_the_picture() {
    let server = Server::serve(CONFIG);
    let film = Film::new();
    let publisher = Publisher::start(&server, Form::Endless, &film, "live/me", "");
    wait_for_rung(&server, "live/me");
    for track in ["video", "240p"] {
        let read = read_objects(&server.url(""), "live/me", track, GROUPS);
        assert_eq!(read["protocol"], "moqt-18", "{read:#}");
        let mut groups: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for object in read["objects"].as_array().expect("a list") {
            let number = |name: &str| object[name].as_u64().unwrap_or_else(|| panic!("no {name} in {object}"));
            groups.entry(number("group")).or_default().push(number("object"));
            assert!(number("size") > 100 && is_chunk(object["box"].as_str()), "{track}: {object}");
        }
        println!("{track}: {:?}", groups.iter().map(|(group, objects)| (group, objects.len())).collect::<Vec<_>>());
        let numbers: Vec<u64> = groups.keys().copied().collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{track}: groups are missing: {numbers:?}");
        // The first was joined, and the last goes on.
        for (group, objects) in groups.iter_mut().skip(1).take(GROUPS) {
            objects.sort_unstable();
            assert!(objects.iter().copied().eq(0..objects.len() as u64), "{track}: group {group} has {objects:?}");
            assert!(objects.len() > 10, "{track}: group {group} has {objects:?}");
        }
    }
    publisher.finish();
    server.stop();
}

/// What a chunk of CMAF may begin with.
fn is_chunk(name: Option<&str>) -> bool {
    name.is_some_and(|name| ["styp", "prft", "emsg", "moof"].contains(&name))
}
