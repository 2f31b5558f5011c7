//! Three plugins misbehave beside the ladder, which loses nothing.

use millrace_tests::{
    Client, Film, Form, Playlist, Publisher, Server, expect_continuous, misbehaving, packets, shipped, until,
};

#[test]
fn three_plugins_misbehave_beside_a_healthy_one() {
    let (ladder, bad) = (shipped("ladder"), misbehaving());
    let mut config = format!(
        "[[ladder]]\nrenditions = [\"240p\"]\n[[plugin]]\nname = \"ladder\"\npath = {:?}\n",
        ladder.display().to_string()
    );
    for (name, what, policy) in [
        ("traps", "trap-every-third", "max_faults = 1000"),
        ("loops", "loop", "max_faults = 3\non_fault = \"drop\""),
        ("hoards", "keep", "max_faults = 3\non_fault = \"bypass\""),
    ] {
        config.push_str(&format!(
            "[[plugin]]\nname = \"{name}\"\npath = {:?}\nsettings = {{ do = \"{what}\" }}\n{policy}\n\
             [plugin.limits]\ncall_time = \"20ms\"\n",
            bad.display().to_string()
        ));
    }
    let server = Server::serve(&config);
    let film = Film::new();
    let publisher = Publisher::start(&server, Form::Endless, &film, "live/me", "");
    server.track("live/me", |track| track["rendition"] == "240p" && !track["width"].is_null());
    let client = Client::default();
    let url = server.url("/hls/live/me/240p/playlist.m3u8");
    let faults = |name: &str| {
        let plugin = format!("\"{name}\"");
        server.metric("millrace_transcoder_faults_total", &[&plugin, "phase=\"fragment\""])
    };
    until("each of them has failed", || {
        ["traps", "loops", "hoards"].iter().all(|name| faults(name) >= 3.0).then_some(())
    });
    until("three segments of the rung", || (Playlist::fetch(&client, &url).segments.len() >= 3).then_some(()));

    for (number, packets) in packets(&server.url("/hls/live/me/240p/master.m3u8"), 8) {
        expect_continuous(&format!("stream {number} of the rung"), &packets, 7.5);
    }
    let playlist = Playlist::fetch(&client, &url);
    let segments = &playlist.segments;
    assert!(segments.windows(2).all(|pair| pair[1].number == pair[0].number + 1 && !pair[1].discontinuity));
    assert!(!playlist.text.contains("EXT-X-GAP"), "{}", playlist.text);

    let all = server.json("/api/v1/transcoders");
    let all = all["transcoders"].as_array().expect("a list");
    let healthy = all.iter().find(|one| one["factory"] == "ladder" && one["rendition"] == "240p").expect("it is there");
    let lost = [&healthy["skipped"], &healthy["dropped"], &healthy["faults"]["fragment"], &healthy["faults"]["start"]];
    assert!(lost.iter().all(|count| **count == 0), "{healthy:#}");
    for name in ["traps", "loops", "hoards"] {
        println!("{name}: {} faults", faults(name));
    }
    assert_eq!(faults("ladder"), 0.0);
    assert_eq!(server.text("/healthz").trim(), "ok");
    assert_eq!(faults("loops"), 3.0, "its breaker has opened, and it is not called again");
    let looping = all.iter().find(|one| one["factory"] == "loops").expect("it is there");
    assert_eq!((&looping["state"], &looping["breaker"]), (&"breaker-open".into(), &"drop".into()), "{looping:#}");
    assert_eq!(server.metric("millrace_transcoder_breakers_open", &["\"loops\""]), 1.0);
    assert!(server.metric("millrace_transcoder_lag_seconds_count", &["\"ladder\""]) > 0.0);
    publisher.finish();
    server.terminate();
    server.stopped(Some("the breaker opens"));
}

/// What `docs/plugins/` promises of the examples: the same plugin in several languages, side by side in one server.
#[test]
fn the_example_plugins_measure_a_stream() {
    measure_a_stream(&["rust", "wasip2", "c"]);
}

/// The same of languages whose tools are large: `make test-examples` installs them.
#[test]
#[ignore = "`make plugins-examples-all` has to come before"]
fn the_example_plugins_with_runtimes_measure_a_stream() {
    measure_a_stream(&["javascript", "javascript-bare", "python"]);
}

fn measure_a_stream(languages: &[&str]) {
    // Nobody is waited for once the publisher has gone.
    let mut config = "ladder = []\n[ingest]\nlinger = \"1s\"\n".to_owned();
    for language in languages {
        let component = shipped(&format!("examples/gop-stats-{language}"));
        config.push_str(&format!(
            "[[plugin]]\nname = \"gop-{language}\"\npath = {:?}\nsettings = {{ max_gop_seconds = 0.5 }}\n",
            component.display().to_string()
        ));
    }
    let server = Server::serve(&config);
    let film = Film::new();
    let publisher = Publisher::start(&server, Form::Endless, &film, "live/me", "");
    let of = |language: &str, metric: &str, labels: &[&str]| {
        server.metric(&format!("millrace_plugin_metric_gop_{}_{metric}", language.replace('-', "_")), labels)
    };
    let labels = ["broadcast=\"live/me\"", "track=\"video\""];
    for language in languages {
        until("groups are counted", || (of(language, "groups_total", &labels) >= 2.0).then_some(()));
        assert!(of(language, "gop_seconds", &labels) > 0.0, "{language}");
        assert!(of(language, "bitrate_bps", &labels) > 10_000.0, "{language}");
        assert!(of(language, "fragment_bytes_count", &[]) > 10.0, "{language}");
    }
    // Its groups are longer than half a second.
    until("the alarms are raised", || {
        let alarms = server.json("/api/v1/alarms");
        let raised = alarms["alarms"].as_array().expect("a list").clone();
        let of = |language: &&str| {
            raised.iter().any(|alarm| alarm["plugin"] == format!("gop-{language}") && alarm["name"] == "long_gop")
        };
        languages.iter().all(of).then_some(())
    });
    assert_eq!(server.metric("millrace_plugin_alarms", &["alarm=\"long_gop\"", "broadcast=\"live/me\""]), 3.0);
    publisher.finish();
    until("what is labelled with the broadcast ends with it", || {
        (!server.text("/metrics").contains("live/me")).then_some(())
    });
    assert_eq!(server.json("/api/v1/alarms")["alarms"].as_array().map(Vec::len), Some(0));
    let all = server.text("/metrics");
    assert!(
        !all.lines().any(|line| line.starts_with("millrace_transcoder_faults_total") && !line.ends_with(" 0")),
        "{all}"
    );
    server.terminate();
    server.stopped(None);
}

/// The filter in `plugins/examples/c-strip`: what the filter before it has put into the stream, no viewer gets.
#[test]
fn the_example_filter_takes_events_out() {
    let component = shipped("examples/strip-c").display().to_string();
    let config = |strips: bool| {
        let clock = "ladder = []\n[[plugin]]\nname = \"clock\"\nbundled = \"clock\"\nsettings = { form = \"id3\" }\n\
                     grants = { clock = true }\n";
        let strip = format!("[[plugin]]\nname = \"strip\"\npath = {component:?}\n");
        if strips { format!("{clock}{strip}") } else { clock.to_owned() }
    };
    let film = Film::new();
    for strips in [false, true] {
        let server = Server::serve(&config(strips));
        let publisher = Publisher::start(&server, Form::Endless, &film, "live/me", "");
        let (client, folder) = (Client::default(), server.url("/hls/live/me/video"));
        let playlist = format!("{folder}/playlist.m3u8");
        server.track("live/me", |track| track["kind"] == "video" && !track["width"].is_null());
        until("two segments", || (Playlist::fetch(&client, &playlist).segments.len() >= 2).then_some(()));
        let text = client.text(&playlist);
        let segments: Vec<_> = text.lines().filter(|line| line.ends_with(".m4s") && !line.starts_with('#')).collect();
        for segment in segments.iter().take(2) {
            let bytes = client.get(&format!("{folder}/{segment}")).body;
            let carries = bytes.windows(4).any(|name| name == b"emsg");
            assert_eq!(carries, !strips, "{segment}");
        }
        let filters = server.json("/api/v1/filters");
        let filters = filters["filters"].as_array().expect("a list").clone();
        assert!(
            filters.iter().any(|one| one["plugin"] == "clock" && one["replaced"].as_u64() > Some(1)),
            "{filters:#?}"
        );
        let strip: Vec<_> = filters.iter().filter(|one| one["plugin"] == "strip" && one["track"] == "video").collect();
        assert_eq!(strip.len(), usize::from(strips), "{filters:#?}");
        assert!(strip.iter().all(|one| one["replaced"].as_u64() > Some(1) && one["by_policy"] == 0), "{filters:#?}");
        publisher.finish();
        server.stop();
    }
}

/// The access plugin in `plugins/examples/javascript/addresses`.
#[test]
#[ignore = "`make plugins-examples-all` has to come before"]
fn the_example_plugins_of_access_let_in_who_is_listed() {
    let component = shipped("examples/addresses-javascript").display().to_string();
    for (listed, status) in [("127.0.0.", 200), ("192.0.2.7", 403)] {
        let server = Server::serve(&format!(
            "ladder = []\n[[plugin]]\nname = \"addresses\"\npath = {component:?}\nsettings = {{ allow = [\"{listed}\"] }}\n"
        ));
        let film = Film::new();
        let publisher = Publisher::start(&server, Form::Endless, &film, "live/me", "");
        server.track("live/me", |track| !track["width"].is_null());
        let answer = Client::default().get(&server.url("/hls/live/me/master.m3u8"));
        assert_eq!(answer.status, status, "{}", answer.text());
        if status == 403 {
            assert!(answer.text().contains("viewers from 127.0.0.1 may not play here"), "{}", answer.text());
        }
        publisher.finish();
        server.stop();
    }
}
