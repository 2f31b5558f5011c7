//! Walks the file key by key, with the environment and the flags laid over it, and collects every fault on the way.
//!
//! The code that reads a section is the schema: each key it asks for becomes known, under its dotted path and with the variable that
//! overrides it. What stands in the file, or in the environment, and was never asked for is unknown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::fault::{Excerpt, Fault, Place, Problem};
use super::nearest::nearest;
use super::section::Section;

/// A value laid over the file's: its place, the value as text, and whether a key asked for it.
pub(super) struct Override {
    pub(super) place: Place,
    pub(super) value: String,
    used: bool,
}

/// Where the text comes from.
#[derive(Clone, Copy)]
pub(super) enum Source<'d> {
    /// A file, or the defaults where there is none.
    File(Option<&'d Path>),
    /// A request, whose sender has not seen the text.
    Request,
}

struct UnknownKey {
    section: String,
    key: String,
    place: Place,
}

/// The state of one reading.
pub(super) struct Reader<'d> {
    text: &'d str,
    source: Source<'d>,
    overrides: BTreeMap<String, Override>,
    /// The path of every key that the code reads, and whether the environment can set it.
    keys: BTreeMap<String, bool>,
    unknown: Vec<UnknownKey>,
    problems: Vec<Problem>,
}

/// What every variable of ours starts with.
pub(super) const PREFIX: &str = "MILLRACE_";

/// The variable that overrides the key at a path: `hls.part_target` is set by `MILLRACE_HLS_PART_TARGET`.
pub(super) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "_").to_uppercase())
}

impl<'d> Reader<'d> {
    /// A reading of `text`; relative paths in it start from the file's directory. Overrides are keyed by [`variable`], and later ones win.
    pub(super) fn new(
        text: &'d str,
        source: Source<'d>,
        overrides: impl IntoIterator<Item = (String, Place, String)>,
    ) -> Self {
        let overrides = overrides
            .into_iter()
            .map(|(variable, place, value)| (variable, Override { place, value, used: false }))
            .collect();
        Self { text, source, overrides, keys: BTreeMap::new(), unknown: Vec::new(), problems: Vec::new() }
    }

    /// The section of the whole file.
    pub(super) fn root<'r>(&'r mut self, table: &'d DeTable<'d>) -> Section<'r, 'd> {
        Section::new(self, String::new(), Some(table), Place::Whole)
    }

    pub(super) fn learn(&mut self, path: &str, has_variable: bool) {
        self.keys.insert(path.to_owned(), has_variable);
    }

    pub(super) fn overriding(&mut self, path: &str) -> Option<(String, Place)> {
        let found = self.overrides.get_mut(&variable(path))?;
        found.used = true;
        Some((found.value.clone(), found.place.clone()))
    }

    /// Whether anything below this path is overridden.
    pub(super) fn overrides_below(&self, path: &str) -> bool {
        let prefix = format!("{}_", variable(path));
        self.overrides.keys().any(|name| name.starts_with(&prefix))
    }

    pub(super) fn excerpt(&self, span: std::ops::Range<usize>) -> Place {
        match self.source {
            Source::File(_) => Place::File(Excerpt::of(self.text, span)),
            Source::Request => Place::Request,
        }
    }

    /// The text of a value as it stands in the file, shortened where it is long.
    pub(super) fn written(&self, span: std::ops::Range<usize>) -> String {
        shorten(self.text.get(span).unwrap_or_default())
    }

    /// The file that is read.
    pub(super) fn file(&self) -> Option<&'d Path> {
        match self.source {
            Source::File(file) => file,
            Source::Request => None,
        }
    }

    /// A table, as whoever wrote it knows it.
    pub(super) fn table_name(&self, path: &str) -> String {
        match self.source {
            Source::File(_) => in_brackets(path),
            Source::Request if path.is_empty() => "the request".into(),
            Source::Request => format!("the {}", split(path).1.trim_end_matches("[]").trim_end_matches('s')),
        }
    }

    pub(super) fn in_directory(&self, path: PathBuf) -> PathBuf {
        self.file().and_then(Path::parent).map_or_else(|| path.clone(), |directory| directory.join(&path))
    }

    pub(super) fn problem_with_help(&mut self, fault: Fault, place: Place, help: &str) {
        self.problems.push(Problem { fault, place, help: Some(help.to_owned()) });
    }

    pub(super) fn problem(&mut self, fault: Fault, place: Place) {
        self.problems.push(Problem { fault, place, help: None });
    }

    pub(super) fn unknown_key(&mut self, section: &str, key: &str, place: Place) {
        self.unknown.push(UnknownKey { section: section.to_owned(), key: key.to_owned(), place });
    }

    /// Runs a reading for the sake of the keys it makes known, and forgets what it found wrong.
    pub(super) fn probe(&mut self, read: impl FnOnce(&mut Self)) {
        let problems = self.problems.len();
        let unknown = self.unknown.len();
        read(self);
        self.problems.truncate(problems);
        self.unknown.truncate(unknown);
    }

    /// Ends the reading: what was found wrong, what nobody asked for included; and the keys that are known, each with whether
    /// the environment can set it.
    pub(super) fn finish(mut self) -> (Vec<Problem>, BTreeMap<String, bool>) {
        for UnknownKey { section, key, place } in std::mem::take(&mut self.unknown) {
            let help = self.help_for_key(&section, &key);
            let fault = Fault::UnknownKey { key, section: self.table_name(&section) };
            self.problems.push(Problem { fault, place, help });
        }
        let variables: Vec<String> =
            self.keys.iter().filter(|(_, has_variable)| **has_variable).map(|(path, _)| variable(path)).collect();
        for (name, unused) in self.overrides.iter().filter(|(_, value)| !value.used) {
            let help = match nearest(name, variables.iter().map(String::as_str)) {
                Some(right) => format!("did you mean `{right}`?"),
                None => "a key's variable is MILLRACE_, its table and its name in capitals, joined by '_'; \
                         ladders, plugins and relays are set in the file alone"
                    .into(),
            };
            let place = unused.place.clone();
            self.problems.push(Problem { fault: Fault::UnknownVariable, place, help: Some(help) });
        }
        (self.problems, self.keys)
    }

    fn help_for_key(&self, section: &str, key: &str) -> Option<String> {
        let siblings = self.keys.keys().filter_map(|path| {
            let (parent, name) = split(path);
            (parent == section).then_some(name)
        });
        if let Some(right) = nearest(key, siblings) {
            return Some(format!("did you mean `{right}`?"));
        }
        let elsewhere: Vec<String> = self
            .keys
            .keys()
            .map(|path| split(path))
            .filter(|(_, name)| *name == key)
            .map(|(at, _)| self.table_name(at))
            .collect();
        (!elsewhere.is_empty()).then(|| format!("`{key}` is a key of {}", elsewhere.join(" and of ")))
    }
}

/// The path of a key's table, empty for the file itself, and its name.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

/// A table as it is written: `[http]`, `[[plugin]]`.
fn in_brackets(section: &str) -> String {
    match section.strip_suffix("[]") {
        _ if section.is_empty() => "the file".into(),
        Some(list) => format!("[[{}]]", list.replace("[]", "")),
        None => format!("[{}]", section.replace("[]", "")),
    }
}

pub(super) fn shorten(text: &str) -> String {
    const LIMIT: usize = 60;
    match text.char_indices().nth(LIMIT) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}
