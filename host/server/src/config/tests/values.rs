//! What a right file means.

use std::time::Duration;

use millrace_codec::{EncoderLibrary, Quality, Speed, VideoCodec};
use millrace_transcode::Relief;
use serde_json::json;

use super::*;

#[test]
fn an_empty_file_is_the_default() {
    // What the API changes is kept beside the file.
    let overlay = Some("/etc/millrace/millrace.overlay.toml".into());
    let default = Config { api: Api { token: None, overlay }, ..Config::default() };
    assert_eq!(read("").unwrap(), default);
    assert_eq!(read("\u{feff}# nothing\r\n").unwrap(), default);
    let ladder = &Config::default().ladders[0];
    assert_eq!(ladder.renditions.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["720p", "480p", "240p"]);
    assert!(Config::default().plugin_host.bundled);
}

#[test]
fn values_come_through() {
    let config = read(
        r#"
        [http]
        listen = "127.0.0.1:9000"
        cors_origins = ["https://Player.example:8443", "http://localhost:5173"]
        [http.tls]
        cert = "tls/cert.pem"
        key = "/keys/key.pem"
        [ingest]
        publish_token = "correct-horse"
        linger = "1m 30s"
        max_box = 1048576
        [log]
        level = "warn,millrace_plugin=debug"
        "#,
    )
    .unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.http.listen, ["127.0.0.1:9000".parse().unwrap()]);
    assert_eq!(config.http.cors_origins[0].as_str(), "https://player.example:8443");
    let tls = config.http.tls.unwrap();
    assert_eq!(tls.cert, Path::new("/etc/millrace/tls/cert.pem"), "relative to the file");
    assert_eq!(tls.key, Path::new("/keys/key.pem"));
    assert_eq!(config.ingest.publish_token.unwrap().expose(), "correct-horse");
    assert_eq!(config.ingest.linger, Duration::from_secs(90));
    assert_eq!(config.ingest.max_box, ByteSize::mib(1));
}

#[test]
fn a_plugin_is_read_with_its_settings_and_limits() {
    let config = read(
        r#"
        [[plugin]]
        name = "captions"
        path = "captions.wasm"
        broadcasts = ["live/*"]
        on_fault = "drop"
        limits = { call_time = "5ms", output_rate = 2_000_000 }
        grants = { http = ["api.example", { host = "http://hooks.local:80", private = true }], clock = true, store = "1MiB" }
        [plugin.settings]
        lines = 2
        gain = 0.5
        since = 2026-01-01
        words = ["a", true, { deep = 0x10 }]
        [[plugin]]
        name = "other"
        path = "/opt/other.wasm"
        "#,
    )
    .unwrap_or_else(|errors| panic!("{errors}"));
    let [captions, other] = &config.plugins[..] else { panic!("{:?}", config.plugins) };
    assert_eq!(captions.component, Component::File("/etc/millrace/captions.wasm".into()));
    assert_eq!(captions.on_fault, OnFault::Drop);
    assert_eq!(captions.limits.call_time, Duration::from_millis(5));
    assert_eq!(captions.limits.output_rate, BitRate::kbps(2000));
    assert_eq!(captions.limits.memory, PluginLimits::default().memory);
    let settings = json!({ "lines": 2, "gain": 0.5, "since": "2026-01-01", "words": ["a", true, { "deep": 16 }] });
    assert_eq!(captions.settings, settings);
    assert_eq!(other.settings, json!({}));
    let grants = &captions.grants;
    let hosts: Vec<_> = grants.http.iter().map(|host| (host.to_string(), host.is_private())).collect();
    assert_eq!(hosts, [("api.example".into(), false), ("http://hooks.local".into(), true)]);
    assert_eq!((grants.clock, grants.timers, grants.random, grants.store), (true, false, false, Some(1 << 20)));
    assert_eq!(other.grants, millrace_plugin::Grants::default());
    assert_eq!(config.files(), [Path::new("/etc/millrace/captions.wasm"), Path::new("/opt/other.wasm")]);
}

#[test]
fn a_rendition_takes_what_it_leaves_out_from_the_preset_of_its_name() {
    let config = read(
        r#"
        [[ladder]]
        broadcasts = "event/*"
        renditions = [{ name = "480p", video_bitrate = "900k" }, { name = "tiny", width = 160, height = 90, video_bitrate = 80000, speed = "draft" }]
        [[ladder]]
        renditions = ["720p", { name = "240p", quality = "low" }]
        "#,
    )
    .unwrap_or_else(|errors| panic!("{errors}"));
    let name = |name: &str| BroadcastName::new(name).unwrap();
    let [medium, tiny] = config.renditions(&name("event/a")) else { panic!("{config:?}") };
    assert_eq!((medium.width, medium.height, medium.video_bitrate), (854, 480, Some(BitRate::kbps(900))));
    assert_eq!(medium.audio_bitrate, BitRate::kbps(96));
    assert_eq!(
        (tiny.video_bitrate, tiny.audio_bitrate, tiny.speed),
        (Some(BitRate::kbps(80)), BitRate::kbps(128), Speed::Draft)
    );
    let low = Rendition { video_bitrate: None, quality: Quality::Low, ..Rendition::preset("240p").unwrap() };
    let all = [Rendition::preset("720p").unwrap(), low];
    assert_eq!(config.renditions(&name("live/a")), all, "the first ladder that matches");
}

#[test]
fn a_ladder_says_how_it_spares_work() {
    let config = read(
        r#"
        [[ladder]]
        renditions = []
        [[ladder]]
        name = "events"
        broadcasts = "event/*"
        idle_timeout = "30s"
        on_overload = "drop-rung"
        renditions = [{ name = "480p", audio = "opus", audio_bitrate = "48k", priority = 7, codec = "av1", encoder = "rav1e", threads = 2 }]
        [[ladder]]
        on_overload = []
        renditions = []
        "#,
    )
    .unwrap_or_else(|errors| panic!("{errors}"));
    let [first, events, last] = &config.ladders[..] else { panic!("{config:?}") };
    assert_eq!((first.name.as_str(), last.name.as_str()), ("ladder-1", "ladder-3"), "by place");
    let steps = [Relief::SkipNonReference, Relief::HalveFrameRate, Relief::DropRung];
    assert_eq!((first.idle_timeout, &first.on_overload[..]), (None, &steps[..]));
    assert_eq!((events.idle_timeout, &events.on_overload[..]), (Some(Duration::from_secs(30)), &steps[2..]));
    assert!(last.on_overload.is_empty());
    let rung = &events.renditions[0];
    assert_eq!((rung.audio, rung.audio_bitrate, rung.priority), (Audio::Opus, BitRate::kbps(48), 7));
    assert_eq!((rung.codec, rung.encoder, rung.threads), (VideoCodec::Av1, EncoderLibrary::Rav1e, 2));
}

#[test]
fn the_overlay_is_beside_the_file_or_where_it_says() {
    assert_eq!(
        read("[api]\noverlay = \"changes.toml\"").unwrap().api.overlay,
        Some("/etc/millrace/changes.toml".into())
    );
    assert_eq!(read_env(&[("MILLRACE_API_OVERLAY", "here.toml")]).unwrap().api.overlay, Some("here.toml".into()));
    assert_eq!(read_env(&[]).unwrap().api.overlay, None, "without a file there is nothing beside it");
}

#[test]
fn media_over_quic_is_spoken_where_http_is() {
    let address = |text: &str| -> std::net::SocketAddr { text.parse().unwrap() };
    let same = read("[http]\nlisten = [\"127.0.0.1:9000\", \"[::1]:9000\"]").unwrap();
    assert_eq!(same.moq_listen(), [address("127.0.0.1:9000"), address("[::1]:9000")]);
    let other = read("[moq]\nlisten = \"127.0.0.1:4443\"").unwrap();
    assert_eq!(other.moq_listen(), [address("127.0.0.1:4443")]);
    assert!(read("[moq]\nenabled = false").unwrap().moq_listen().is_empty());
    let open = read("[moq]\nlisten = \"0.0.0.0:4443\"\n[ingest]\njwt_key = \"publish.jwk\"").unwrap();
    assert_eq!(open.files(), [Path::new("/etc/millrace/publish.jwk")], "a key will do in place of a token");
}

#[test]
fn relays_are_read_with_what_they_are_shown_and_trusted_by() {
    let config = read(
        r#"
        [[moq.relay]]
        url = "https://relay.example/live?region=eu"
        jwt = "a.secret.b"
        [[moq.relay]]
        url = "moqt://127.0.0.1:4443"
        certificate_hashes = "0F343B0931126A20F133D67C2B018A3B0f343b0931126a20f133d67c2b018a3b"
        [[moq.relay]]
        url = "https://127.0.0.1:4443"
        insecure = true
        "#,
    )
    .unwrap_or_else(|errors| panic!("{errors}"));
    let [first, second, third] = &config.moq.relays[..] else { panic!("{config:?}") };
    assert_eq!(first.url.to_string(), "https://relay.example/live", "a query is not shown");
    assert_eq!(first.url.expose().query(), Some("region=eu"));
    assert_eq!(first.jwt.as_ref().map(Jwt::expose), Some("a.secret.b"));
    assert_eq!(first.trust, RelayTrust::System);
    let RelayTrust::Hashes(hashes) = &second.trust else { panic!("{second:?}") };
    assert_eq!((hashes.len(), hashes[0][0], hashes[0][31]), (1, 0x0f, 0x3b));
    assert_eq!(third.trust, RelayTrust::Anyone);
}

#[test]
fn an_empty_list_of_ladders_is_no_ladder() {
    let config = read("ladder = []").unwrap();
    assert!(config.renditions(&BroadcastName::new("live/a").unwrap()).is_empty());
}

#[test]
fn the_cache_of_plugins_is_a_directory_or_off() {
    let cache = |value: &str| read(&format!("[plugin_host]\ncache = {value}\n")).map(|config| config.plugin_host.cache);
    assert_eq!(read("").unwrap().plugin_host.cache, PluginCache::User);
    assert_eq!(cache("false").unwrap(), PluginCache::Off);
    assert_eq!(cache("\"/var/cache/mr\"").unwrap(), PluginCache::Directory("/var/cache/mr".into()));
    let variable = |value| read_env(&[("MILLRACE_PLUGIN_HOST_CACHE", value)]).map(|config| config.plugin_host.cache);
    assert_eq!(variable("false").unwrap(), PluginCache::Off);
    assert_eq!(variable("cache").unwrap(), PluginCache::Directory("cache".into()));
    for wrong in ["true", "\"\"", "1"] {
        let error = cache(wrong).unwrap_err().to_string();
        assert!(error.contains("expected the path of a directory, or false"), "{error}");
    }
}
