//! Files that are no plugin, or not one for this host: each is refused with a sentence that says why.

use std::time::Duration;

use millrace_media::track::Kind;
use millrace_plugin::{Limits, LoadFault, PluginSettings, Plugins};
use millrace_transcode::factory::{Factory, Scope};

use crate::guests::component;
use crate::host::{engine, load, misbehave, shipped_plugin};

/// An empty component: magic, version 13, layer 1.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

/// A component that imports an instance of this name and exports nothing.
fn importing(name: &str) -> Vec<u8> {
    let mut bytes = EMPTY.to_vec();
    // Type section: one instance type without declarations.
    bytes.extend([7, 3, 1, 0x42, 0]);
    // Import section: the name, and an instance of type 0.
    let name_len = u8::try_from(name.len()).unwrap();
    bytes.extend([10, name_len + 5, 1, 0, name_len]);
    bytes.extend(name.as_bytes());
    bytes.extend([5, 0]);
    bytes
}

async fn refusal(plugins: &Plugins, bytes: &[u8]) -> String {
    let settings = PluginSettings::new("bad", "bad.wasm");
    plugins.load_bytes(settings, bytes.to_vec()).await.expect_err("it was loaded").to_string()
}

async fn fault(plugins: &Plugins, settings: PluginSettings) -> LoadFault {
    load(plugins, settings).await.expect_err("it was loaded").fault
}

#[tokio::test]
async fn a_file_that_is_missing() {
    let error = engine().load(PluginSettings::new("gone", "/nowhere/gone.wasm")).await.unwrap_err().to_string();
    assert!(error.starts_with("the plugin `gone` (/nowhere/gone.wasm) cannot be read: No such file"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_too_long() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len((64 << 20) + 1).unwrap();
    let error = engine().load(PluginSettings::new("long", file.path())).await.unwrap_err();
    assert!(error.to_string().ends_with("has at least 67108865 bytes, and the limit is 67108864"), "{error}");
}

#[tokio::test]
async fn files_that_are_not_components() {
    let plugins = engine();
    for bytes in [&b""[..], b"hello", b"\0asm", b"\x7fELF\x02\x01\x01\0"] {
        let error = refusal(&plugins, bytes).await;
        assert_eq!(error, "the plugin `bad` (bad.wasm) is not a WebAssembly component");
    }
    let error = refusal(&plugins, b"\0asm\x01\0\0\0").await;
    assert!(error.contains("is a core WebAssembly module and not a component: `componentize"), "{error}");
}

#[tokio::test]
async fn a_component_that_is_cut_short_or_broken() {
    let plugins = engine();
    let whole = component("passthrough");
    let error = refusal(&plugins, &whole[..whole.len() / 2]).await;
    assert!(error.contains(" is damaged at byte ") && error.contains("unexpected end"), "{error}");
    let mut broken = whole;
    broken[8..64].fill(0xff);
    let error = refusal(&plugins, &broken).await;
    assert!(error.contains(" is damaged at byte "), "{error}");
}

#[tokio::test]
async fn a_component_of_another_world() {
    let error = refusal(&engine(), EMPTY).await;
    assert!(
        error.ends_with("is no plugin: it does not export `millrace:plugin/about@0.2.1` (it exports nothing)"),
        "{error}"
    );
}

#[tokio::test]
async fn a_component_that_asks_for_what_the_host_lacks() {
    let plugins = engine();
    for name in ["wasi:nn/tensor@0.2.0", "wasi:io/poll@0.3.0", "millrace:plugin/files@0.2.0"] {
        let error = refusal(&plugins, &importing(name)).await;
        assert!(error.ends_with(&format!("asks for `{name}`, which this host does not give to plugins")), "{error}");
    }
    let error = refusal(&plugins, &importing("millrace:plugin/media@0.2.2")).await;
    assert!(
        error.contains("asks for `millrace:plugin/media@0.2.2`, which is newer than the contract of this host"),
        "{error}"
    );
    let error = refusal(&plugins, &importing("millrace:plugin/media@0.1.0")).await;
    assert!(error.contains("which is older than the contract of this host"), "{error}");
}

#[tokio::test]
async fn a_plugin_that_refuses_its_settings_is_quoted() {
    let error = load(&engine(), misbehave("refuse")).await.unwrap_err().to_string();
    assert_eq!(error, "the plugin `refuse` (misbehave.wasm) refuses its settings: invalid: the key `do` says refuse");
}

#[tokio::test]
async fn settings_and_limits_that_cannot_be() {
    let plugins = engine();
    let settings = PluginSettings { settings: serde_json::json!([1]), ..misbehave("nothing") };
    assert!(matches!(fault(&plugins, settings).await, LoadFault::Settings));
    let limits = Limits { memory: 1 << 40, ..Limits::default() };
    let error = fault(&plugins, PluginSettings { limits, ..misbehave("nothing") }).await.to_string();
    assert_eq!(error, "is allowed 1099511627776 bytes of memory, and the engine is set up for 67108864");
}

#[tokio::test]
async fn a_plugin_that_cannot_describe_itself() {
    let plugins = engine();
    let trapped = fault(&plugins, misbehave("trap-at-describe")).await.to_string();
    assert!(trapped.contains("`describe` trapped: wasm `unreachable` instruction executed"), "{trapped}");
    let limits = Limits { call_time: Duration::from_millis(20), ..Limits::default() };
    let looped = fault(&plugins, PluginSettings { limits, ..misbehave("loop-at-describe") }).await.to_string();
    assert!(looped.contains("`describe` took more than its limit of 20 ms of processor time"), "{looped}");
    let limits = Limits { call_time: Duration::from_secs(10), ..Limits::default() };
    let grown = fault(&plugins, PluginSettings { limits, ..misbehave("allocate-at-describe") }).await.to_string();
    assert!(grown.contains("bytes of memory where its limit is 67108864"), "{grown}");
    let silent = fault(&plugins, misbehave("say-nothing")).await.to_string();
    assert!(silent.contains("does not say which kinds of track it wants"), "{silent}");
    let early = fault(&plugins, misbehave("state-at-describe")).await.to_string();
    assert!(early.contains("there is no broadcast while the plugin describes itself"), "{early}");
    load(&plugins, misbehave("bad-description")).await.unwrap();
}

#[tokio::test]
async fn a_plugin_that_needs_more_memory_than_it_is_allowed() {
    let limits = Limits { memory: 1 << 16, ..Limits::default() };
    let error = fault(&engine(), PluginSettings { limits, ..misbehave("nothing") }).await.to_string();
    assert!(error.contains("bytes of memory where its limit is 65536"), "{error}");
}

#[tokio::test]
async fn the_plugins_we_ship_describe_themselves() {
    let plugins = engine();
    for (name, scope, kinds) in [
        ("passthrough", Scope::Track, &[Kind::Video, Kind::Audio, Kind::Text, Kind::Image, Kind::Data][..]),
        ("audio-passthrough", Scope::Rendition, &[Kind::Audio]),
        ("ladder", Scope::Rendition, &[Kind::Video, Kind::Audio]),
    ] {
        let plugin = shipped_plugin(&plugins, name).await;
        let transcoder = plugin.transcoder().unwrap();
        assert_eq!((transcoder.name(), transcoder.scope(), transcoder.kinds()), (name, scope, kinds));
        assert!(!plugin.summary().is_empty());
    }
}

#[tokio::test]
async fn two_plugins_that_are_one_in_metrics_are_not_both_loaded() {
    let plugins = engine();
    let settings =
        |name| PluginSettings { settings: serde_json::json!({}), ..PluginSettings::new(name, "misbehave.wasm") };
    let first = load(&plugins, settings("gop-stats")).await.unwrap();
    let error = load(&plugins, settings("gop.stats")).await.unwrap_err().to_string();
    assert!(error.contains("has a name that is the same as that of the plugin `gop-stats` in metrics"), "{error}");
    drop(first);
    load(&plugins, settings("gop.stats")).await.unwrap();
}
