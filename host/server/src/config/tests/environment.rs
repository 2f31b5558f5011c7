//! Variables.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;

fn error(variables: &[(&str, &str)]) -> String {
    read_env(variables).unwrap_err().to_string()
}

#[test]
fn nothing_set_is_the_default() {
    assert_eq!(read_env(&[("PATH", "/bin"), ("MILL", "1")]).unwrap(), Config::default());
}

#[test]
fn a_variable_wins_over_the_file() {
    let env = [("MILLRACE_HLS_PART_TARGET".to_owned(), "500ms".to_owned())];
    let config =
        parse(None, "[hls]\npart_target = \"100ms\"\nsegment_target = \"4s\"\n", env.into_iter(), &[]).unwrap();
    assert_eq!(config.hls.part_target, Duration::from_millis(500));
    assert_eq!(config.hls.segment_target, Duration::from_secs(4));
}

#[test]
fn variables_are_read_as_their_keys_type() {
    let config = read_env(&[
        ("MILLRACE_HTTP_LISTEN", "127.0.0.1:1, [::1]:2"),
        ("MILLRACE_HTTP_TLS_CERT", "a.pem"),
        ("MILLRACE_HTTP_TLS_KEY", "b.pem"),
        ("MILLRACE_LOG_FORMAT", "json"),
        ("MILLRACE_INGEST_MAX_BROADCASTS", "7"),
        ("MILLRACE_HLS_LOW_LATENCY", "false"),
        ("MILLRACE_WINDOW_BYTES", "1GiB"),
        ("MILLRACE_PLUGIN_HOST_THREADS", "3"),
        ("MILLRACE_MOQ_LISTEN", "127.0.0.1:3"),
        ("MILLRACE_MOQ_PATIENCE", "500ms"),
    ])
    .unwrap();
    assert_eq!(config.http.listen, ["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()]);
    assert_eq!(config.http.tls, Some(Tls { cert: "a.pem".into(), key: "b.pem".into() }));
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.ingest.max_broadcasts, 7);
    assert!(!config.hls.low_latency);
    assert_eq!(config.window.bytes, ByteSize::mib(1024));
    assert_eq!(config.plugin_host.threads, Some(3));
    assert_eq!(config.moq.listen, Some(vec!["127.0.0.1:3".parse().unwrap()]));
    assert_eq!(config.moq.patience, Duration::from_millis(500));
}

#[test]
fn a_wrong_value_names_its_variable() {
    let text = error(&[("MILLRACE_INGEST_LINGER", "soon")]);
    assert!(text.contains("`linger` is \"soon\", expected a length of time"), "{text}");
    assert!(text.contains("--> environment variable MILLRACE_INGEST_LINGER"), "{text}");
    let text = error(&[("MILLRACE_WINDOW_DURATION", "1s")]);
    assert!(text.contains("`duration` is \"1s\", expected 2s to 1day"), "{text}");
}

#[test]
fn half_a_table_is_missing_its_other_half() {
    let text = error(&[("MILLRACE_HTTP_TLS_CERT", "a.pem")]);
    assert!(text.contains("[http.tls] has no `key`"), "{text}");
}

#[test]
fn an_unknown_variable_is_refused_with_the_nearest() {
    let text = error(&[("MILLRACE_HTTP_LISTNE", "127.0.0.1:1")]);
    assert!(text.contains("unknown environment variable\n  --> environment variable MILLRACE_HTTP_LISTNE"), "{text}");
    assert!(text.contains("did you mean `MILLRACE_HTTP_LISTEN`?"), "{text}");
    let text = error(&[("MILLRACE_PLUGIN_NAME", "x")]);
    assert!(text.contains("ladders, plugins and relays are set in the file alone"), "{text}");
}

#[test]
fn what_kubernetes_sets_for_a_service_of_our_name_is_let_be() {
    let config = read_env(&[
        ("MILLRACE_SERVICE_HOST", "10.0.0.1"),
        ("MILLRACE_SERVICE_PORT_HTTP", "8080"),
        ("MILLRACE_PORT", "tcp://10.0.0.1:8080"),
        ("MILLRACE_PORT_8080_TCP_ADDR", "10.0.0.1"),
    ]);
    assert_eq!(config.unwrap(), Config::default());
}

#[test]
fn no_two_keys_share_a_variable_and_none_is_foreign() {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for (path, _) in keys().into_iter().filter(|(_, has_variable)| *has_variable) {
        let variable = reader::variable(&path);
        assert!(!is_foreign(&variable), "{variable}");
        if let Some(other) = owners.insert(variable.clone(), path.clone()) {
            panic!("{path} and {other} are both set by {variable}");
        }
    }
    assert!(owners.contains_key("MILLRACE_HTTP_TLS_CERT"), "{owners:?}");
}

#[test]
fn a_token_is_never_shown() {
    let secret = "geheim geheim";
    for text in [
        error(&[("MILLRACE_INGEST_PUBLISH_TOKEN", secret)]),
        error(&[("MILLRACE_API_TOKEN", secret)]),
        read(&format!("[[moq.relay]]\nurl = \"{secret}\"")).unwrap_err().to_string(),
        read(&format!("[[moq.relay]]\nurl = \"https://a/\"\njwt = \"{secret}\"")).unwrap_err().to_string(),
        read("[[moq.relay]]\nurl = \"https://a/?jwt=geheim\"\njwt = \"geheim\"").unwrap_err().to_string(),
        read(&"[[moq.relay]]\nurl = \"https://a/?jwt=geheim\"\n".repeat(2)).unwrap_err().to_string(),
        format!("{:?}", read("[[moq.relay]]\nurl = \"https://a/?jwt=geheim\"").unwrap()),
        format!("{:?}", read("[[moq.relay]]\nurl = \"https://a/\"\njwt = \"geheim\"").unwrap()),
        read(&format!("[ingest]\npublish_token = \"{secret}\"")).unwrap_err().to_string(),
        format!("{:?}", read("[ingest]\npublish_token = \"geheimes-wort\"").unwrap()),
    ] {
        assert!(!text.contains("geheim"), "{text}");
    }
}
