//! The binary: `check-config`, and servers that cannot start.

use std::process::{Command, Stdio};

/// Checks this file, and gives the exit code and what was said.
fn check(content: &str) -> (i32, String) {
    told("check-config", content)
}

fn told(command: &str, content: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("millrace.toml");
    std::fs::write(&file, content).unwrap();
    let mut millrace = Command::new(env!("CARGO_BIN_EXE_millrace"));
    millrace.arg(command).args((command == "serve").then_some("--config")).arg(file);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MILLRACE_")) {
        millrace.env_remove(name);
    }
    let output = millrace.stdin(Stdio::null()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().expect("it ends by itself"), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn the_example_is_right() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../millrace.example.toml");
    let example = std::fs::read_to_string(example).unwrap();
    let (code, text) = check(&example);
    assert!(code == 0 && text.starts_with("OK\n"), "{code} {text}");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (content, place, sentences) in [
        ("[hls]\npart_taget = \"200ms\"\n", ":2:1", ["part_taget", "did you mean `part_target`?"]),
        ("[hls]\npart_target = 3\n", ":2:15", ["part_target", "200ms"]),
        ("[window]\n\n  duration = [1]\n", ":3:14", ["duration", "2s"]),
        ("[http]\nlisten = [\"127.0.0.1:9000\", \"127.0.0.1:9000\"]\n", ":2:29", ["127.0.0.1:9000", "listen"]),
        ("[http]\nlisten = \"0.0.0.0:8080\"\n", ":2:10", ["0.0.0.0:8080", "publish_token"]),
        ("[http\n", ":1:6", ["error", "]"]),
    ] {
        let (code, text) = check(content);
        assert_eq!(code, 2, "{content}\n{text}");
        assert!(text.contains(&format!("millrace.toml{place}")), "{place} expected for:\n{content}\n{text}");
        for sentence in sentences {
            assert!(text.contains(sentence), "{sentence} expected for:\n{content}\n{text}");
        }
        // The server says the same, and does not start.
        let (code, served) = told("serve", content);
        assert_ne!(code, 0, "{served}");
        assert!(served.contains(&format!("millrace.toml{place}")), "{served}");
    }
}

#[test]
fn a_taken_address_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (code, text) = told("serve", &format!("[http]\nlisten = \"{address}\"\n"));
    assert!(code != 0 && text.contains(&address.to_string()), "{code} {text}");
}

#[test]
fn a_plugin_that_cannot_be_loaded_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text.wasm");
    std::fs::write(&file, "not a component").unwrap();
    for (path, sentence) in [("missing.wasm", "missing.wasm"), (file.to_str().unwrap(), "component")] {
        let config = format!("[http]\nlisten = \"127.0.0.1:0\"\n[[plugin]]\nname = \"captions\"\npath = {path:?}\n");
        let (code, text) = told("serve", &config);
        assert!(code != 0 && text.contains("captions") && text.contains(sentence), "{code} {text}");
    }
}
