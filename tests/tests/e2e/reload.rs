//! SIGHUP.

use std::process::Command;

use millrace_tests::{Server, until};

use crate::guard::{with_certificate, write_certificate};

/// Whether the server shows the certificate that is in a file.
fn shows(server: &Server, certificate: &str) -> bool {
    let output = Command::new("curl").args(["--silent", "--cacert", certificate, &server.url("/healthz")]).output();
    output.expect("curl is installed").stdout == b"ok\n"
}

#[test]
fn a_hang_up_has_certificates_read_again() {
    let folder = tempfile::tempdir().expect("a folder for the certificate");
    write_certificate(&folder);
    let [cert, key, old] = ["cert.pem", "key.pem", "old.pem"].map(|name| folder.path().join(name));
    std::fs::copy(&cert, &old).expect("it can be copied");
    let server = Server::serve(&with_certificate(&folder));
    let [shown, old] = [&cert, &old].map(|path| path.to_str().expect("the path is text"));
    assert!(shows(&server, old));
    let modified = |path| std::fs::metadata(path).and_then(|known| known.modified()).expect("it has a time");
    let times = [modified(&cert), modified(&key)];
    write_certificate(&folder);
    // Files that do not look new are looked at for no other reason.
    for (path, time) in [&cert, &key].into_iter().zip(times) {
        let file = std::fs::File::options().write(true).open(path).expect("it is there");
        file.set_modified(time).expect("it can be set");
    }
    server.hang_up();
    until("the other certificate", || shows(&server, shown).then_some(()));
    assert!(!shows(&server, old));
    assert!(server.log().contains("[http.tls] has been read again: the new one"), "{}", server.log());

    let good = std::fs::read(&cert).expect("it is there");
    let kept = folder.path().join("kept.pem");
    std::fs::write(&kept, good).expect("it can be written");
    std::fs::write(&cert, "no certificate").expect("it can be written");
    server.hang_up();
    until("the bad file is named", || {
        server
            .log()
            .contains("stays as it was: ")
            .then_some(())
            .filter(|()| server.log().contains("has no certificate"))
    });
    assert!(shows(&server, kept.to_str().expect("the path is text")));
    server.stop();
}
