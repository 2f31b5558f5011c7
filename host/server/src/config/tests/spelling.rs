//! A slip of one letter in any key is answered with the right one.

use super::*;

/// Every word that is one slip away: a letter left out, doubled, replaced, or swapped with the next.
fn slips(word: &str) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    let mut slips = Vec::new();
    for i in 0..letters.len() {
        let (head, tail) = (&letters[..i], &letters[i + 1..]);
        let with = |middle: &[char]| [head, middle, tail].concat().into_iter().collect::<String>();
        slips.push(with(&[]));
        slips.push(with(&[letters[i], letters[i]]));
        slips.push(with(&['q']));
        if i + 1 < letters.len() {
            let mut swapped = letters.clone();
            swapped.swap(i, i + 1);
            slips.push(swapped.into_iter().collect());
        }
    }
    slips.retain(|slip| slip != word && !slip.is_empty());
    slips
}

/// A file in which a key stands in its table.
fn file_with(section: &str, key: &str) -> String {
    let header = match section {
        "" => String::new(),
        "ladder[].renditions[]" => "[[ladder]]\n[[ladder.renditions]]\n".into(),
        "plugin[].limits" => "[[plugin]]\n[plugin.limits]\n".into(),
        "plugin[].grants" => "[[plugin]]\n[plugin.grants]\n".into(),
        "plugin[].grants.http[]" => "[[plugin]]\n[[plugin.grants.http]]\n".into(),
        list if list.ends_with("[]") => format!("[[{}]]\n", list.trim_end_matches("[]")),
        table => format!("[{table}]\n"),
    };
    format!("{header}{key} = 1\n")
}

#[test]
fn the_right_key_is_suggested() {
    let keys = keys();
    let mut tried = 0;
    for path in keys.keys() {
        let (section, key) = reader::split(path);
        let siblings: Vec<&str> =
            keys.keys().map(|path| reader::split(path)).filter(|(at, _)| *at == section).map(|(_, key)| key).collect();
        for slip in slips(key) {
            if siblings.contains(&slip.as_str()) {
                continue;
            }
            let errors = read(&file_with(section, &slip)).unwrap_err();
            let problem = errors
                .problems()
                .iter()
                .find(|problem| matches!(&problem.fault, Fault::UnknownKey { key, .. } if *key == slip));
            let problem =
                problem.unwrap_or_else(|| panic!("{slip} in {section:?} was not refused as unknown: {errors}"));
            // Where another key is as near, either may have been meant.
            let edits = |key: &str| strsim::damerau_levenshtein(&slip, key);
            let mut near = siblings.iter().filter(|sibling| edits(sibling) <= edits(key));
            let help = problem.help.as_deref();
            assert!(
                near.any(|near| help == Some(&*format!("did you mean `{near}`?"))),
                "{slip} in {section:?}: {help:?}"
            );
            tried += 1;
        }
    }
    assert!(tried > 500, "only {tried} slips were tried");
}

#[test]
fn a_key_in_the_wrong_table_is_answered_with_the_right_table() {
    let errors = read("[hls]\nlinger = \"30s\"\n").unwrap_err();
    assert_eq!(errors.problems()[0].help.as_deref(), Some("`linger` is a key of [ingest]"));
    let errors = read("listen = \"127.0.0.1:1\"\n").unwrap_err();
    assert_eq!(errors.problems()[0].help.as_deref(), Some("`listen` is a key of [http] and of [moq]"));
}

#[test]
fn a_word_that_is_like_no_key_is_answered_without_a_guess() {
    let errors = read("[hls]\nchocolate = 1\n").unwrap_err();
    assert_eq!(errors.problems()[0].help, None);
}
