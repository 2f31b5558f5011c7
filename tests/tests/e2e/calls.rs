//! Plugins are called between fragments, and without them: times and messages; what they are not granted is denied and shown.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use millrace_tests::{Client, Film, Form, Publisher, Server, shipped, until};
use serde_json::{Value, json};

#[test]
fn the_example_plugin_notices_a_stall_and_answers() {
    notice_a_stall("rust");
}

/// The same in a language whose tools are large: `make test-examples` installs them.
#[test]
#[ignore = "`make plugins-examples-all` has to come before"]
fn the_example_plugins_with_runtimes_notice_a_stall_and_answer() {
    notice_a_stall("python");
}

fn notice_a_stall(language: &str) {
    let component = shipped(&format!("examples/stalls-{language}")).display().to_string();
    let plugin = |name: &str, more: &str| {
        format!("[[plugin]]\nname = \"{name}\"\npath = {component:?}\nsettings = {{ stall_ms = 400 }}\n{more}\n")
    };
    let config = format!(
        "ladder = []\n{}{}",
        plugin("stalls", "grants = { timers = true }"),
        plugin("poor", "max_faults = 1000\ngrants = { http = [\"api.example\"], clock = true, store = \"1KiB\" }\n")
    );
    let folder = tempfile::tempdir().expect("a folder for stores");
    let config = format!("{config}[plugin_host]\nstore = {:?}\n", folder.path().display().to_string());
    let server = Server::serve(&config);
    let client = Client::default();
    let send = |plugin: &str, query: &str, message: &str| {
        client.send(&server.url(&format!("/api/v1/plugins/{plugin}/messages{query}")), message.as_bytes())
    };
    assert_eq!(send("stalls", "", "status").status, 404, "no instance is there yet");

    let film = Film::new();
    let publisher = Publisher::start(&server, Form::Endless, &film, "live/me", "");
    let status = || -> Option<Value> {
        let answer = send("stalls", "?broadcast=live/me&hook=transcoder&track=video", "status");
        if answer.status == 404 {
            return None;
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
        let replies: Value = serde_json::from_str(&answer.text()).expect("JSON");
        let [reply] = &replies.as_array().expect("a list")[..] else { panic!("{replies}") };
        assert_eq!((&reply["hook"], &reply["broadcast"]), (&json!("transcoder"), &json!("live/me")), "{reply}");
        let text =
            BASE64_STANDARD.decode(reply["reply"].as_str().unwrap_or_else(|| panic!("{reply}"))).expect("Base64");
        Some(serde_json::from_slice(&text).expect("JSON of the plugin's own"))
    };
    until("fragments are counted", || status().filter(|status| status["fragments"].as_u64() > Some(10)));
    for (plugin, query, message, expected) in [
        ("stalls", "", "sing", 200),
        ("none", "", "status", 404),
        ("stalls", "?broadcast=live/other", "status", 404),
        ("stalls", "?hook=decoder", "status", 400),
        ("stalls", "?size=1", "status", 400),
        ("stalls", "", &*"x".repeat((64 << 10) + 1), 413),
    ] {
        let answer = send(plugin, query, message);
        assert_eq!(answer.status, expected, "{plugin}{query}: {}", answer.text());
    }
    let answer: Value = serde_json::from_str(&send("stalls", "", "sing").text()).expect("JSON");
    assert_eq!(answer[0]["error"], "invalid: unknown message (expected status or reset)", "{answer}");

    // The publisher is gone, and may return: the plugin is called all the same.
    publisher.kill();
    let alarm = until("the alarm is raised", || {
        let alarms = server.json("/api/v1/alarms");
        alarms["alarms"].as_array()?.iter().find(|alarm| alarm["name"] == "stalled").cloned()
    });
    assert_eq!((&alarm["plugin"], &alarm["text"]), (&json!("stalls"), &json!("nothing has come for 400 ms")));
    assert_eq!(status().expect("it lives as long as the broadcast")["stalled"], true);
    let publisher = Publisher::start(&server, Form::Endless, &film, "live/me", "");
    until("the alarm is cleared", || {
        server.json("/api/v1/alarms")["alarms"].as_array().is_some_and(Vec::is_empty).then_some(())
    });

    let plugins = server.json("/api/v1/plugins");
    let [stalls, poor] = &plugins["plugins"].as_array().expect("a list")[..] else { panic!("{plugins}") };
    let grants = json!({ "http": [], "timers": true, "clock": false, "random": false, "store": null });
    assert_eq!((&stalls["grants"], &stalls["denied"]), (&grants, &json!([])), "{stalls:#}");
    assert_eq!((&stalls["hooks"], &stalls["messages"]), (&json!(["transcoder"]), &json!(true)), "{stalls:#}");
    let http = json!([{ "host": "api.example", "private": false }]);
    let grants = json!({ "http": http, "timers": false, "clock": true, "random": false, "store": 1024 });
    assert_eq!(poor["grants"], grants, "{poor:#}");
    let denied = &poor["denied"][0];
    assert_eq!((&denied["grant"], &denied["host"]), (&json!("timers"), &Value::Null), "{poor:#}");
    let count = denied["count"].as_f64().expect("a number");
    assert!(count > 0.0 && server.metric("millrace_plugin_denied_total", &["\"poor\"", "\"timers\""]) >= count);
    assert_eq!(server.metric("millrace_transcoder_faults_total", &["\"stalls\""]), 0.0);
    publisher.finish();
    server.terminate();
    let log = server.log();
    let said = log.lines().filter(|line| line.contains("asks for what it is not granted")).count();
    assert_eq!(said, 1, "it is said once:\n{log}");
    server.stopped(None);
}
