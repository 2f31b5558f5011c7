//! Names of broadcasts with wildcards, as in the configuration of the server.

/// Whether a pattern matches the name of a broadcast: `*` stands for one element of a path, `**` for any number of elements, none included.
pub fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let name: Vec<&str> = name.split('/').collect();
    // Where the rest of the name may begin, for the pattern so far: linear in both, whatever the pattern.
    let mut places = vec![false; name.len() + 1];
    places[0] = true;
    for element in pattern {
        let mut next = vec![false; name.len() + 1];
        for at in 0..=name.len() {
            match element {
                "**" => next[at] = places[at] || at > 0 && next[at - 1],
                "*" => next[at] = at > 0 && places[at - 1],
                _ => next[at] = at > 0 && places[at - 1] && name[at - 1] == element,
            }
        }
        places = next;
    }
    places[name.len()]
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn elements_are_matched_whole() {
        for (pattern, name, expected) in [
            ("live/demo", "live/demo", true),
            ("live/demo", "live/demo2", false),
            ("live/*", "live/demo", true),
            ("live/*", "live/demo/480p", false),
            ("live/*", "live", false),
            ("live/**", "live/demo/480p", true),
            ("live/**", "live", true),
            ("**", "a/b/c", true),
            ("**/cam", "a/b/cam", true),
            ("**/cam", "a/cam/b", false),
            ("de*", "demo", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn many_wildcards_take_no_longer() {
        let pattern = vec!["**"; 200].join("/");
        let name = vec!["a"; 200].join("/");
        assert!(matches(&pattern, &name));
        assert!(!matches(&format!("{pattern}/b"), &name));
    }
}
