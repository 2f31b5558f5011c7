//! The cases of moq-test-client, an interoperability test of draft 18 that was written for relays.

use millrace_tests::moq::Peer;
use millrace_tests::{Server, run_for_errors, until};

/// Cases that a server which plays what it understands cannot pass: they want the objects of one client carried to another, whatever
/// is in them, and what they publish is neither media nor listed in a catalog.
const FOR_RELAYS: [(&str, &str); 11] = [
    ("publish-track-only", "publishes a line of text as a track of its own, with no catalog that names it"),
    ("publish-track-subscribe", "publishes a line of text as a track of its own, and reads it back"),
    ("data-subgroup-basic", "makes objects of a pattern for whatever name below its prefix is subscribed to"),
    ("moq-test-subgroup-per-group-eog", "carries objects of a pattern, in a subgroup a group"),
    ("moq-test-subgroup-per-object", "carries objects of a pattern, in a subgroup each"),
    ("moq-test-two-subgroups-eog", "carries objects of a pattern, in two subgroups a group"),
    ("moq-test-datagram", "carries objects of a pattern, in datagrams"),
    ("moq-test-datagram-eog", "carries objects of a pattern, in datagrams with marks where groups end"),
    ("moq-test-extensions", "carries objects of a pattern, with extensions of no known meaning"),
    ("moq-test-increments", "carries objects of a pattern, whose numbers rise in steps"),
    ("moq-test-forward-zero", "subscribes to a pattern that nobody has published"),
];

#[test]
fn every_case_that_fits_an_origin_passes() {
    let server = Server::serve("[moq]\nidle_timeout = \"5s\"\n");
    let (_, listed) = run_for_errors(&program(), ["--list"]);
    let cases: Vec<&str> =
        listed.lines().filter_map(|line| line.trim().split(' ').next()).filter(|n| n.contains('-')).collect();
    assert_eq!(cases.len(), 18, "{listed}");
    let (for_relays, fit): (Vec<_>, Vec<_>) =
        cases.into_iter().partition(|case| FOR_RELAYS.iter().any(|(name, _)| name == case));
    assert_eq!(for_relays.len(), FOR_RELAYS.len(), "the table has names of no case");
    for case in fit {
        // The program ends without a goodbye, and the next case may want the same name.
        until("the name is free", || {
            let list = server.json("/api/v1/broadcasts");
            let mut broadcasts = list["broadcasts"].as_array()?.iter();
            broadcasts.all(|broadcast| broadcast["state"] != "live").then_some(())
        });
        let (passed, told) = passes(&server, case);
        assert!(passed, "{told}");
        println!("passed: {case}");
    }
    // They wait for what does not come, all at the same time. One that passes all the same has no place in the table.
    std::thread::scope(|scope| {
        for (case, reason) in FOR_RELAYS {
            let server = &server;
            scope.spawn(move || {
                let (passed, told) = passes(server, case);
                assert!(!passed, "{told}");
                println!("for relays: {case}, which {reason}");
            });
        }
    });
    server.stop();
}

/// Whether a case passes, and what was told of it.
fn passes(server: &Server, case: &str) -> (bool, String) {
    let (code, told) = run_for_errors(&program(), ["--relay", &server.moq(), "--tls-disable-verify", "--test", case]);
    (code == 0, told)
}

fn program() -> String {
    Peer::binary("moq-test-client").to_str().expect("the path is text").to_owned()
}
