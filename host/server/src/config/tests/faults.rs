//! Every form of error: where it points, and what it says.

use super::*;

#[test]
fn an_unknown_key_is_shown_where_it_stands() {
    let errors = read("[http]\n  lisen = \"127.0.0.1:8080\"\n").unwrap_err();
    assert_eq!(
        errors.to_string(),
        "error: unknown key `lisen` in [http]\n  \
           --> /etc/millrace/millrace.toml:2:3\n   \
             |\n 2 |   lisen = \"127.0.0.1:8080\"\n   \
             |   ^^^^^\n  \
           = help: did you mean `listen`?"
    );
}

#[test]
fn a_wrong_type_says_which_and_what_is_expected() {
    for (text, expected) in [
        ("[hls]\nlow_latency = 1", "`low_latency` is an integer, expected true or false"),
        ("[ingest]\nmax_tracks = \"8\"", "`max_tracks` is a string, expected a whole number"),
        (
            "[ingest]\nlinger = 30",
            "`linger` is an integer, expected a length of time with its unit, such as \"2s\" or \"200ms\"",
        ),
        (
            "[window]\nbytes = 1.5",
            "`bytes` is a number with a fraction, expected a size with its unit, such as \"64MiB\" (or KiB, GiB, kB, MB, GB)",
        ),
        ("http = 3", "`http` is an integer, expected a table"),
        ("[plugin]\nname = \"x\"", "`plugin` is a table, expected tables, each under `[[plugin]]`"),
        ("plugin = [\"x\"]", "`plugin` is a string, expected tables, each under `[[plugin]]`"),
        ("ladder = [1]", "`ladder` is an integer, expected tables, each under `[[ladder]]`"),
        (
            "[log]\nlevel = [\"info\"]",
            "`level` is an array, expected error, warn, info, debug, trace or off, or such levels by target, \"info,millrace_plugin=debug\"",
        ),
    ] {
        assert_eq!(faults(text), [expected], "for {text:?}");
    }
}

#[test]
fn a_value_that_does_not_do_says_what_does() {
    for (text, expected) in [
        ("[ingest]\nidle_timeout = \"0s\"", "`idle_timeout` is \"0s\", expected 1s to 10m"),
        (
            "[ingest]\nlinger = \"30\"",
            "`linger` is \"30\", expected a length of time with its unit, such as \"2s\" or \"200ms\"",
        ),
        ("[ingest]\nmax_tracks = -1", "`max_tracks` is -1, expected a whole number"),
        ("[ingest]\nmax_tracks = 0", "`max_tracks` is 0, expected 1 to 1000"),
        ("[ingest]\nmax_box = \"2GiB\"", "`max_box` is \"2GiB\", expected 1MiB to 1GiB"),
        ("[plugin_host]\nthreads = 0", "`threads` is 0, expected 1 to 1024"),
        ("[moq]\nmax_streams = 7", "`max_streams` is 7, expected 8 to 65536"),
        ("[moq]\npatience = \"1ms\"", "`patience` is \"1ms\", expected 100ms to 1m"),
        ("[moq.relay]\nurl = \"https://a/\"", "`relay` is a table, expected tables, each under `[[moq.relay]]`"),
        ("[[moq.relay]]\ninsecure = true", "[[moq.relay]] has no `url`"),
        (
            "[[moq.relay]]\nurl = \"rtmp://a/\"",
            "`url` is not shown here, expected https://HOST[:PORT]/[PATH] or moqt://HOST[:PORT]/[PATH], such as \"https://relay.example/live\"",
        ),
        (
            "[[moq.relay]]\nurl = \"https://a/\"\ncertificate_hashes = [\"12\"]",
            "`certificate_hashes` is \"12\", expected the SHA-256 of a certificate: 64 hexadecimal digits",
        ),
        ("[[moq.relay]]\nurl = \"https://a/?jwt=x\"\njwt = \"y\"", "`jwt` stands in `url` already, expected it once"),
        (
            "[[moq.relay]]\nurl = \"https://a/?jwt=x\"\n[[moq.relay]]\nurl = \"https://a/?jwt=x\"",
            "the relay `https://a/` is already taken by line 2",
        ),
        (
            "[moq]\nlisten = \"0.0.0.0:4443\"",
            "0.0.0.0:4443 can be reached from other machines, and neither `ingest.publish_token` nor `ingest.jwt_key` is set",
        ),
        ("[log]\nformat = \"xml\"", "`format` is \"xml\", expected \"text\" or \"json\""),
        ("[http]\nlisten = []", "`listen` is [], expected at least one address"),
        (
            "[http]\ncors_origins = \"player.example\"",
            "`cors_origins` is \"player.example\", expected \"*\" or an origin without a path, such as \"https://player.example\"",
        ),
        (
            "[http]\ncors_origins = \"https://player.example/\"",
            "`cors_origins` is \"https://player.example/\", expected \"*\" or an origin without a path, such as \"https://player.example\"",
        ),
        (
            "[http]\nnames = \"studio.example:8080\"",
            "`names` is \"studio.example:8080\", expected the name of a host without a port, such as \"studio.example\"",
        ),
        (
            "[[ladder]]\nrenditions = [\"1080p\"]",
            "`renditions` is \"1080p\", expected \"720p\", \"480p\", \"240p\" or a table { name, width, height, video_bitrate or quality }",
        ),
        (
            "[[ladder]]\nbroadcasts = [\"{a\"]\nrenditions = []",
            "`broadcasts` is \"{a\", expected a pattern of broadcast names, such as \"live/*\" or \"**\"",
        ),
        (
            "[[ladder]]\nrenditions = [{ name = \"480p\", width = 853 }]",
            "`width` is 853, expected an even number of pixels, 16 to 8192",
        ),
        (
            "[[ladder]]\nrenditions = [{ name = \"480p\", video_bitrate = \"1k\" }]",
            "`video_bitrate` is \"1k\", expected 16k to 200M",
        ),
        ("[[ladder]]\nrenditions = []\nidle_timeout = \"1s\"", "`idle_timeout` is \"1s\", expected 5s to 1h"),
        (
            "[[ladder]]\nrenditions = []\non_overload = \"pray\"",
            "`on_overload` is \"pray\", expected \"skip-non-reference\", \"halve-frame-rate\" or \"drop-rung\"",
        ),
        (
            "[[ladder]]\nrenditions = [{ name = \"480p\", audio = \"aac\" }]",
            "`audio` is \"aac\", expected \"source\" or \"opus\"",
        ),
        (
            "[[ladder]]\nrenditions = [{ name = \"480p\", encoder = \"rav1e\" }]",
            "`encoder` \"rav1e\" does not encode \"h264\", expected \"auto\"",
        ),
        ("[[ladder]]\nrenditions = [{ name = \"480p\", threads = 0 }]", "`threads` is 0, expected 1 to 16"),
        ("[[ladder]]\nrenditions = [{ name = \"480p\", priority = 1001 }]", "`priority` is 1001, expected 0 to 1000"),
        ("[[plugin]]\nname = \"x\"\npath = \"\"", "`path` is \"\", expected the path of a file"),
        (
            "[[plugin]]\nname = \"x\"\npath = \"x\"\nsettings = { a = [nan] }",
            "`a` is nan, expected a finite number that fits 64 bits",
        ),
    ] {
        assert_eq!(faults(text), [expected], "for {text:?}");
    }
    for level in ["inof", "info,,", "millrace=loud"] {
        assert_eq!(faults(&format!("[log]\nlevel = {level:?}")).len(), 1, "{level:?} was taken");
    }
}

#[test]
fn grants_that_grant_nothing_known_are_told() {
    let faults = |grants: &str| faults(&format!("[[plugin]]\nname = \"x\"\npath = \"x\"\ngrants = {grants}"));
    let hosts = "expected [http:// or https://]HOST[:PORT], such as \"api.example\", \"*.api.example\" or \"http://192.0.2.1:8080\"";
    let list = "expected a list of hosts, such as [\"api.example\", { host = \"hooks.local\", private = true }]";
    for (grants, expected) in [
        ("{ http = [\"https://api.example/hook\"] }", format!("`http` is \"https://api.example/hook\", {hosts}")),
        ("{ http = [{ host = \"*.com\" }] }", format!("`host` is \"*.com\", {hosts}")),
        ("{ http = \"api.example\" }", format!("`http` is a string, {list}")),
        ("{ http = [1] }", format!("`http` is an integer, {list}")),
        ("{ http = [{ private = true }] }", "[[plugin.grants.http]] has no `host`".into()),
        (
            "{ store = true }",
            "`store` is a boolean, expected a size with its unit, such as \"64MiB\" (or KiB, GiB, kB, MB, GB)".into(),
        ),
        ("{ store = \"1GiB\" }", "`store` is \"1GiB\", expected 1KiB to 16MiB".into()),
        ("{ timers = 1 }", "`timers` is an integer, expected true or false".into()),
        ("{ network = true }", "unknown key `network` in [plugin.grants]".into()),
        ("true", "`grants` is a boolean, expected a table".into()),
    ] {
        assert_eq!(faults(grants), [expected], "for {grants}");
    }
    let errors = read("[[plugin]]\nname = \"x\"\npath = \"x\"\ngrants = { timer = true }").unwrap_err();
    assert_eq!(errors.problems()[0].help.as_deref(), Some("did you mean `timers`?"));
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(faults("[[plugin]]\n"), ["[[plugin]] has no `name`", "[[plugin]] has no `path` or `bundled`"]);
    assert_eq!(faults("[[ladder]]\n"), ["[[ladder]] has no `renditions`"]);
    assert_eq!(faults("[http]\ntls = { cert = \"a.pem\" }"), ["[http.tls] has no `key`"]);
    assert_eq!(
        faults("[[ladder]]\nrenditions = [{ name = \"540p\", height = 540 }]"),
        ["[[ladder.renditions]] has no `width`", "[[ladder.renditions]] has no `video_bitrate` or `quality`"]
    );
}

#[test]
fn two_listeners_in_each_others_way_are_refused() {
    let text = "[http]\nlisten = [\n  \"127.0.0.1:8080\",\n  \"127.0.0.1:8080\",\n]";
    let errors = read(text).unwrap_err();
    assert_eq!(errors.problems()[0].fault.to_string(), "the address 127.0.0.1:8080 is already taken by line 3");
    assert!(errors.to_string().contains("millrace.toml:4:3"), "{errors}");
    let token = "[ingest]\npublish_token = \"long-enough\"\n[http]\n";
    for (a, b) in [
        ("0.0.0.0:1", "127.0.0.1:1"),
        ("[::]:1", "[::1]:1"),
        ("[::]:1", "127.0.0.1:1"),
        ("[::ffff:127.0.0.1]:1", "127.0.0.1:1"),
    ] {
        assert_eq!(faults(&format!("{token}listen = [\"{a}\", \"{b}\"]")).len(), 1, "{a} beside {b}");
        assert_eq!(faults(&format!("{token}listen = [\"{b}\", \"{a}\"]")).len(), 1, "{b} beside {a}");
    }
    for (a, b) in [
        ("127.0.0.1:1", "127.0.0.1:2"),
        ("127.0.0.1:1", "[::1]:1"),
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("0.0.0.0:1", "[::1]:1"),
    ] {
        assert_eq!(faults(&format!("{token}listen = [\"{a}\", \"{b}\"]")), [""; 0], "{a} beside {b}");
    }
}

#[test]
fn two_of_one_name_are_refused() {
    let plugin = "[[plugin]]\nname = \"x\"\npath = \"x.wasm\"\n";
    assert_eq!(faults(&plugin.repeat(2)), ["the plugin name `x` is already taken by line 2"]);
    assert_eq!(
        faults("[[ladder]]\nrenditions = [\"480p\", { name = \"480p\", height = 482 }]"),
        ["the rendition name `480p` is already taken by line 2"]
    );
    assert_eq!(faults("[[ladder]]\nrenditions = [\"480p\"]\n[[ladder]]\nrenditions = [\"480p\"]"), [""; 0]);
    assert_eq!(
        faults("[[ladder]]\nname = \"ladder-2\"\nrenditions = []\n[[ladder]]\nrenditions = []"),
        ["the ladder name `ladder-2` is already taken by line 2"]
    );
    assert_eq!(
        faults("[[ladder]]\nrenditions = []\non_overload = [\"drop-rung\", \"drop-rung\"]"),
        ["the step \"drop-rung\" is already taken by line 3"]
    );
}

#[test]
fn an_open_listener_wants_a_token() {
    let errors = read("[http]\nlisten = [\"127.0.0.1:1\", \"0.0.0.0:8080\"]").unwrap_err();
    let problem = &errors.problems()[0];
    assert_eq!(
        problem.fault.to_string(),
        "0.0.0.0:8080 can be reached from other machines, and neither `ingest.publish_token` nor `ingest.jwt_key` is set"
    );
    assert!(matches!(&problem.place, Place::File(excerpt) if excerpt.line == 2), "{problem:?}");
    assert!(read("[http]\nlisten = \"0.0.0.0:8080\"\n[ingest]\npublish_token = \"long-enough\"").is_ok());
    assert!(read("[http]\nlisten = \"0.0.0.0:8080\"\n[ingest]\njwt_key = \"publish.jwk\"").is_ok());
    assert!(read("[http]\nlisten = [\"127.0.0.9:1\", \"[::1]:1\"]").is_ok());
}

#[test]
fn keys_that_do_not_go_together_are_refused() {
    assert_eq!(
        faults("[hls]\npart_target = \"3s\""),
        ["`part_target` (3s) is longer than `segment_target` (2s), expected at most as long"]
    );
    assert_eq!(
        faults("[hls]\nmax_segment = \"1s\""),
        ["`max_segment` (1s) is shorter than `segment_target` (2s), expected at least as long"]
    );
    assert_eq!(
        faults("[hls]\nplaylist_window = \"5s\""),
        ["`playlist_window` (5s) is shorter than three segments of `segment_target` (2s), expected at least 6s"]
    );
    assert_eq!(
        faults("[[ladder]]\nrenditions = [{ name = \"480p\", video_bitrate = \"1M\", quality = \"high\" }]"),
        ["a quality is held only without a bit rate: expected `quality` or `video_bitrate`"]
    );
    assert_eq!(
        faults("[window]\nduration = \"10s\""),
        ["`window.duration` (10s) is shorter than `hls.playlist_window` (20s), expected at least as long"]
    );
}

#[test]
fn what_is_not_toml_is_shown_where_it_goes_wrong() {
    let errors = read("[http]\nlisten = \n[hls\n").unwrap_err();
    assert!(errors.problems().len() >= 2, "both lines are wrong: {errors}");
    assert!(errors.to_string().starts_with("error: not TOML: "), "{errors}");
    assert!(errors.to_string().contains("/etc/millrace/millrace.toml:2:"), "{errors}");
    let errors = read("[hls]\nlow_latency = true\nlow_latency = false\n").unwrap_err();
    assert!(errors.to_string().contains("duplicate key"), "{errors}");
    assert!(errors.to_string().contains("millrace.toml:3:1"), "{errors}");
}

#[test]
fn every_problem_is_reported_in_the_order_of_the_file() {
    let text =
        "[window]\nbytes = true\n[http]\nlistn = 1\nlisten = \"here\"\n[colour]\n[hls]\nsegment_target = \"1h\"\n";
    assert_eq!(
        faults(text),
        [
            "`bytes` is a boolean, expected a size with its unit, such as \"64MiB\" (or KiB, GiB, kB, MB, GB)",
            "unknown key `listn` in [http]",
            "`listen` is \"here\", expected an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"",
            "unknown key `colour` in the file",
            "`segment_target` is \"1h\", expected 500ms to 30s",
        ]
    );
}

#[test]
fn a_caret_stands_under_what_is_meant_after_tabs_and_wide_letters() {
    let errors = read("[log]\n\tformat = \"größer\" # ä\n").unwrap_err();
    assert!(errors.to_string().ends_with("2 | \tformat = \"größer\" # ä\n   | \t         ^^^^^^^^"), "{errors}");
}

#[test]
fn files_that_cannot_be_read_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let load = |path: &Path| super::super::load(Some(path), std::iter::empty()).unwrap_err().problems()[0].clone();
    assert!(matches!(load(&directory.path().join("none.toml")).fault, Fault::Unreadable(_)));
    assert!(matches!(load(directory.path()).fault, Fault::Unreadable(_)));
    let file = directory.path().join("millrace.toml");
    std::fs::write(&file, b"[http]\n# \xff\xfe\n").unwrap();
    let problem = load(&file);
    assert_eq!(problem.fault, Fault::Encoding);
    assert!(matches!(&problem.place, Place::File(excerpt) if (excerpt.line, excerpt.column) == (2, 3)), "{problem:?}");
    std::fs::write(&file, vec![b'#'; MAX_FILE as usize + 1]).unwrap();
    assert_eq!(load(&file).fault, Fault::TooLong { limit: MAX_FILE });
}
