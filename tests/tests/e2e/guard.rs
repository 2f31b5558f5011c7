//! Without a token, this machine alone may publish, and no page of another origin.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use millrace_tests::{Server, header_and_second, publish_from_pages};
use tempfile::{NamedTempFile, TempDir};

/// What a browser says for pages of others, and a name of theirs that is pointed here.
const FOREIGN: [&[&str]; 6] = [
    &["Origin: http://evil.example"],
    &["Origin: null"],
    &["Origin: http://localhost:5173", "Sec-Fetch-Site: same-site"],
    &["Sec-Fetch-Site: cross-site"],
    &["Host: evil.example"],
    &["X-Forwarded-For: 192.0.2.7"],
];

/// A small broadcast, in a file.
fn film() -> NamedTempFile {
    let (header, media) = header_and_second("libx264");
    let mut file = NamedTempFile::new().expect("a file for the film");
    file.write_all(&[header, media].concat()).expect("it can be written");
    file
}

/// What curl is answered: the status, and the text.
fn curl(server: &Server, options: &[&str], headers: &[&str], path: &str) -> (String, String) {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--insecure", "--write-out", "\n%{http_version} %{http_code}"]);
    for header in headers {
        command.args(["--header", header]);
    }
    let output = command.args(options).arg(server.url(path)).output().expect("curl is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (text, status) = text.rsplit_once('\n').unwrap_or_default();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    (status.to_owned(), text.to_owned())
}

/// Checks everything that publishes, and the preflight, over one version of HTTP.
fn check(server: &Server, version: (&str, &str), film: &Path) {
    let (option, number) = version;
    let film = format!("@{}", film.display());
    let own = format!("Origin: {}", server.url(""));
    let send = |method: &str, headers: &[&str], path: &str| {
        // As a page sends it that does not ask first.
        let headers = [&["Content-Type:"], headers].concat();
        let body: &[&str] = if method == "DELETE" { &[] } else { &["--data-binary", &film] };
        curl(server, &[&[option, "--request", method], body].concat(), &headers, path)
    };
    for headers in FOREIGN {
        for method in ["POST", "PUT", "DELETE"] {
            let (status, text) = send(method, headers, "/ingest/foreign/stream.mp4");
            let is_told = text.contains("`publish_token` or `jwt_key`");
            assert!(status == format!("{number} 403") && is_told, "{method} {headers:?}: {status} {text}");
        }
        let (status, text) = send("DELETE", headers, "/api/v1/ladders/ladder-1");
        assert!(
            status == format!("{number} 403") && text.contains("MILLRACE_API_TOKEN"),
            "{headers:?}: {status} {text}"
        );
    }
    assert!(server_lists(server, "foreign").is_none());
    let asks = ["Origin: http://evil.example", "Access-Control-Request-Method: PUT"];
    let (status, answer) = curl(server, &[option, "--include", "--request", "OPTIONS"], &asks, "/ingest/a/b.mp4");
    let answer = answer.to_ascii_lowercase();
    assert!(status == format!("{number} 405") && !answer.contains("access-control-allow"), "{status} {answer}");

    let name = format!("own/{}", number.replace('.', "-"));
    for headers in [&[][..], &[own.as_str(), "Sec-Fetch-Site: same-origin"]] {
        let (status, text) = send("POST", headers, &format!("/ingest/{name}/stream.mp4"));
        assert_eq!(status, format!("{number} 200"), "{headers:?}: {text}");
    }
    assert_eq!(server_lists(server, &name).as_deref(), Some("waiting"));
    // A broadcast that waits for its publisher can be ended.
    assert_eq!(send("DELETE", &["Origin: http://evil.example"], &format!("/ingest/{name}")).0, format!("{number} 403"));
    assert_eq!(server_lists(server, &name).as_deref(), Some("waiting"));
    assert_eq!(send("DELETE", &[], &format!("/ingest/{name}")).0, format!("{number} 200"));
    assert_eq!(server_lists(server, &name).as_deref(), Some("ended"));
    let (status, text) = send("DELETE", &[], &format!("/ingest/{name}"));
    assert!(status == format!("{number} 404") && text.contains("nothing to end"), "{status} {text}");
}

/// The state of a broadcast.
fn server_lists(server: &Server, name: &str) -> Option<String> {
    let (_, list) = curl(server, &[], &[], "/api/v1/broadcasts");
    let list: serde_json::Value = serde_json::from_str(&list).expect("the list is JSON");
    let found = list["broadcasts"].as_array()?.iter().find(|broadcast| broadcast["name"] == name)?;
    found["state"].as_str().map(str::to_owned)
}

/// A certificate for this machine and its key, as files in a folder.
pub(crate) fn write_certificate(folder: &TempDir) {
    let key = rcgen::KeyPair::generate().expect("a key can be made");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let params = rcgen::CertificateParams::new(names).expect("the names are right");
    let certificate = params.self_signed(&key).expect("it can be signed");
    for (name, text) in [("cert.pem", certificate.pem()), ("key.pem", key.serialize_pem())] {
        std::fs::write(folder.path().join(name), text).expect("it can be written");
    }
}

/// A configuration with that certificate.
pub(crate) fn with_certificate(folder: &TempDir) -> String {
    let path = |name: &str| folder.path().join(name);
    format!("ladder = []\n[http.tls]\ncert = {:?}\nkey = {:?}\n", path("cert.pem"), path("key.pem"))
}

#[test]
fn pages_of_other_origins_publish_nothing() {
    let (server, film) = (Server::serve("ladder = []\n"), film());
    check(&server, ("--http1.1", "1.1"), film.path());
    let seen = publish_from_pages(&server, film.path().as_ref() as &OsStr);
    println!("{seen:#}");
    // The browser says nothing of what it was answered, but for its own origin.
    assert_eq!((&seen["own"], &seen["rebound"]), (&200.into(), &403.into()), "{seen:#}");
    assert_eq!(seen["foreign"], "opaque", "{seen:#}");
    for (name, state) in [("page/own", Some("waiting")), ("page/foreign", None), ("page/rebound", None)] {
        assert_eq!(server_lists(&server, name).as_deref(), state, "{name}");
    }
    server.stop();
}

#[test]
fn nor_do_they_over_tls_and_http_2() {
    let folder = tempfile::tempdir().expect("a folder for the certificate");
    write_certificate(&folder);
    let (server, film) = (Server::serve(&with_certificate(&folder)), film());
    check(&server, ("--http1.1", "1.1"), film.path());
    check(&server, ("--http2", "2"), film.path());
    server.stop();
}
