//! The annotated example and the code agree.

use std::collections::BTreeSet;

use toml::de::DeValue;

use super::*;

const EXAMPLE: &str = include_str!("../../../../../millrace.example.toml");

/// The example with its commented keys set: those behind a `#` without a space.
fn uncommented() -> String {
    let uncomment = |line: &'static str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest,
        _ => line,
    };
    EXAMPLE.lines().map(uncomment).collect::<Vec<_>>().join("\n")
}

fn paths(prefix: &str, table: &DeTable<'_>, found: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        match value.get_ref() {
            _ if path == "plugin[].settings" => {}
            DeValue::Table(table) => paths(&path, table, found),
            DeValue::Array(array) => {
                for table in array.iter().filter_map(|element| element.get_ref().as_table()) {
                    paths(&format!("{path}[]"), table, found);
                }
            }
            _ => {}
        }
        found.insert(path);
    }
}

#[test]
fn as_it_is_it_changes_nothing() {
    let config = parse(None, EXAMPLE, std::iter::empty(), &[]).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config, Config::default());
}

#[test]
fn every_example_in_it_is_right() {
    // Two arrays of renditions in one ladder are one too many: the table form is shown beside the short one.
    let text = uncommented().replace("renditions = [\"720p\"]\n", "");
    let config = parse(None, &text, std::iter::empty(), &[]).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.ladders.len(), 2);
    assert_eq!(config.ladders[1].renditions[0].name.as_str(), "540p");
    assert_eq!(config.plugins.len(), 2);
    let limits = &config.plugins[0].limits;
    assert_eq!(*limits, PluginLimits::default(), "the limits shown are the defaults");
}

#[test]
fn it_shows_every_key_and_no_other() {
    let text = uncommented().replace("renditions = [\"720p\"]\n", "");
    let table = DeTable::parse(&text).unwrap();
    let mut shown = BTreeSet::new();
    paths("", table.get_ref(), &mut shown);
    let known: BTreeSet<String> = keys().into_keys().collect();
    let missing: Vec<_> = known.difference(&shown).collect();
    let unknown: Vec<_> = shown.difference(&known).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "not shown: {missing:?}; not keys: {unknown:?}");
}

#[test]
fn every_key_has_a_comment_that_states_its_default() {
    let mut comment = String::new();
    let mut seen = BTreeSet::new();
    let mut table = "";
    for line in EXAMPLE.lines() {
        let setting = line.strip_prefix('#').unwrap_or(line);
        if line.starts_with("# ") {
            comment.push_str(line);
        } else if setting.starts_with('[') {
            table = setting;
            comment.clear();
        } else if let Some((key, value)) = setting.split_once(" = ") {
            if seen.insert((table, key)) {
                assert!(
                    comment.contains("Default: ") || comment.contains("Required."),
                    "{table} {key} states no default: {comment:?}"
                );
                if let Some((_, stated)) = comment.split_once("Default: ")
                    && stated.starts_with(['"', '1'])
                    && !line.starts_with('#')
                {
                    assert!(stated.starts_with(value), "{table} {key} is {value}, and its comment says {stated}");
                }
            }
            comment.clear();
        } else {
            comment.clear();
        }
    }
}
