//! What a user of the configuration sees, by topic.

mod environment;
mod example;
mod faults;
mod spelling;
mod values;

use std::path::Path;

use super::*;

/// Reads a file that stands in `/etc/millrace`, without variables.
fn read(text: &str) -> Result<Config, ConfigErrors> {
    parse(Some(Path::new("/etc/millrace/millrace.toml")), text, std::iter::empty(), &[])
}

/// The faults of a file, as text, in order.
fn faults(text: &str) -> Vec<String> {
    match read(text) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.problems().iter().map(|problem| problem.fault.to_string()).collect(),
    }
}

/// Reads variables alone.
fn read_env(variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    load(None, variables.iter().map(|(name, value)| (name.to_string(), value.to_string())))
}

/// Every key that the code reads, by path, and whether a variable can set it.
pub(crate) fn keys() -> std::collections::BTreeMap<String, bool> {
    let table = DeTable::default();
    let mut reader = Reader::new("", Source::File(None), std::iter::empty());
    Config::read(&mut reader.root(&table));
    reader.finish().1
}
