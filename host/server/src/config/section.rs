//! One table of the configuration, read key by key.

use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Place};
use super::pattern::BroadcastPattern;
use super::reader::{Reader, shorten};
use super::setting::{Bounded, Refusal, Setting, kind};

/// A table that is being read. [`Section::finish`] reports the keys that were never asked for.
pub(super) struct Section<'r, 'd> {
    reader: &'r mut Reader<'d>,
    path: String,
    table: Option<&'d DeTable<'d>>,
    place: Place,
    asked: Vec<&'static str>,
}

/// What stands in an array that may hold names beside tables.
pub(super) enum Element<'r, 'd> {
    Name(&'d str),
    Table(Section<'r, 'd>),
}

/// A value where it was given.
enum Given<'d> {
    Toml(&'d Spanned<DeValue<'d>>),
    Text(String, Place),
}

impl<'r, 'd> Section<'r, 'd> {
    pub(super) fn new(reader: &'r mut Reader<'d>, path: String, table: Option<&'d DeTable<'d>>, place: Place) -> Self {
        Self { reader, path, table, place, asked: Vec::new() }
    }

    /// Whether the table is there: one that is not is read for its keys and their defaults.
    pub(super) fn is_given(&self) -> bool {
        self.table.is_some()
    }

    /// The file that is read.
    pub(super) fn file(&self) -> Option<&'d Path> {
        self.reader.file()
    }

    /// Where the table itself stands.
    pub(super) fn place(&self) -> Place {
        self.place.clone()
    }

    /// Where a key's value was given; the table's place where it was not.
    pub(super) fn place_of(&mut self, key: &'static str) -> Place {
        match self.given(key) {
            Some(Given::Text(_, place)) => place,
            Some(Given::Toml(value)) => self.reader.excerpt(value.span()),
            None => self.place(),
        }
    }

    /// Where a value below this table was given, by its path; none where it was not.
    pub(super) fn locate(&mut self, path: &[&str]) -> Option<Place> {
        if let Some((_, place)) = self.reader.overriding(&path.join(".")) {
            return Some(place);
        }
        let (first, rest) = path.split_first()?;
        let value = rest.iter().try_fold(self.in_file(first)?, |value, key| value.get_ref().as_table()?.get(*key))?;
        Some(self.reader.excerpt(value.span()))
    }

    /// Reports that a value below this table does not go with another's, with what to do.
    pub(super) fn conflict_at(&mut self, path: &[&str], sentence: String, help: &str) {
        let place = self.locate(path).unwrap_or_else(|| self.place());
        self.reader.problem_with_help(Fault::Conflict(sentence), place, help);
    }

    /// Reports a fault, with what to do.
    pub(super) fn problem_with_help(&mut self, fault: Fault, place: Place, help: &str) {
        self.reader.problem_with_help(fault, place, help);
    }

    /// Reports a fault.
    pub(super) fn problem(&mut self, fault: Fault, place: Place) {
        self.reader.problem(fault, place);
    }

    /// Reports that a key's value does not go with another's.
    pub(super) fn conflict(&mut self, key: &'static str, sentence: String) {
        let place = self.place_of(key);
        self.problem(Fault::Conflict(sentence), place);
    }

    /// A key with a default, which also stands in for a value that is wrong.
    pub(super) fn value<T: Setting>(&mut self, key: &'static str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// A key with a default and bounds.
    pub(super) fn within<T: Bounded>(&mut self, key: &'static str, default: T, bounds: RangeInclusive<T>) -> T {
        self.optional_within(key, bounds).unwrap_or(default)
    }

    /// A key that is there or not, with bounds.
    pub(super) fn optional_within<T: Bounded>(&mut self, key: &'static str, bounds: RangeInclusive<T>) -> Option<T> {
        let value: T = self.optional(key)?;
        if bounds.contains(&value) {
            return Some(value);
        }
        self.refuse(key, format!("{} to {}", bounds.start().show(), bounds.end().show()), T::SECRET);
        None
    }

    /// Reports that a key's value, though of the right type, is not what is expected.
    pub(super) fn refuse(&mut self, key: &'static str, expected: String, secret: bool) {
        let Some(given) = self.given(key) else { return };
        let (written, place) = self.shown(&given, secret);
        self.problem(Fault::Invalid { key: key.into(), given: written, expected }, place);
    }

    /// A key without a default. Where it is missing that is reported, and `stand_in` lets the reading go on to the next fault.
    pub(super) fn required<T: Setting>(&mut self, key: &'static str, stand_in: T) -> T {
        if !self.has(key) {
            self.missing(&format!("`{key}`"));
        }
        self.value(key, stand_in)
    }

    /// Whether a key is given.
    pub(super) fn has(&mut self, key: &'static str) -> bool {
        self.given(key).is_some()
    }

    /// Reports that a key is not given; or one of several, in words.
    pub(super) fn missing(&mut self, keys: &str) {
        let fault = Fault::Missing { keys: keys.into(), section: self.reader.table_name(&self.path) };
        let place = self.place();
        self.problem(fault, place);
    }

    /// A key that is there or not.
    pub(super) fn optional<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        self.ask(key);
        match self.given(key)? {
            Given::Text(text, place) => {
                let read = T::from_text(&text);
                self.taken(key, read, "a text", &format!("{:?}", shorten(&text)), place)
            }
            Given::Toml(value) => self.element(key, value),
        }
    }

    /// The path of a file: relative to the configuration file where it is written there, to the working directory otherwise.
    pub(super) fn required_path(&mut self, key: &'static str) -> PathBuf {
        let path = self.required(key, PathBuf::new());
        self.in_directory(key, path)
    }

    /// As [`required_path`](Self::required_path), of a file that need not be named.
    pub(super) fn optional_path(&mut self, key: &'static str) -> Option<PathBuf> {
        let path = self.optional(key)?;
        Some(self.in_directory(key, path))
    }

    /// A path that was given for a key, as [`required_path`](Self::required_path) reads it.
    pub(super) fn in_directory(&mut self, key: &'static str, path: PathBuf) -> PathBuf {
        match self.given(key) {
            Some(Given::Toml(_)) => self.reader.in_directory(path),
            _ => path,
        }
    }

    /// A list, each element with its place; none where the key is not there or an element is wrong. A single value is a list of one, and a variable holds a
    /// list as words between commas.
    pub(super) fn list<T: Setting>(&mut self, key: &'static str) -> Option<Vec<(T, Place)>> {
        self.ask(key);
        // Every element is read before the first wrong one ends the list, so that all of them are reported.
        match self.given(key)? {
            Given::Text(text, place) => {
                let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
                let read = |word: &str| {
                    let value = T::from_text(word);
                    Some((
                        self.taken(key, value, "a text", &format!("{:?}", shorten(word)), place.clone())?,
                        place.clone(),
                    ))
                };
                words.map(read).collect::<Vec<_>>().into_iter().collect()
            }
            Given::Toml(value) => {
                let elements = match value.get_ref() {
                    DeValue::Array(array) => array.iter().collect(),
                    _ => vec![value],
                };
                let read = |element: &'d Spanned<DeValue<'d>>| {
                    Some((self.element(key, element)?, self.reader.excerpt(element.span())))
                };
                elements.into_iter().map(read).collect::<Vec<_>>().into_iter().collect()
            }
        }
    }

    /// The patterns under `broadcasts`: every broadcast, where there are none.
    pub(super) fn broadcasts(&mut self) -> Vec<BroadcastPattern> {
        match self.list("broadcasts") {
            Some(patterns) => patterns.into_iter().map(|(pattern, _)| pattern).collect(),
            None => vec![BroadcastPattern::all()],
        }
    }

    /// A table within this one.
    pub(super) fn table<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'_, 'd>) -> T) -> T {
        self.ask_in_file(key);
        let (table, place) = match self.in_file(key) {
            None => (None, self.place()),
            Some(value) => {
                let place = self.reader.excerpt(value.span());
                if !value.get_ref().is_table() {
                    self.wrong_type(key, value, "a table");
                }
                (value.get_ref().as_table(), place)
            }
        };
        let mut section = Section::new(self.reader, join(&self.path, key), table, place);
        let value = read(&mut section);
        section.finish();
        value
    }

    /// A table that is there, in the file or by a variable, or not.
    pub(super) fn optional_table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'_, 'd>) -> T,
    ) -> Option<T> {
        let path = join(&self.path, key);
        if self.in_file(key).is_some() || self.reader.overrides_below(&path) {
            return Some(self.table(key, read));
        }
        self.ask_in_file(key);
        self.reader.probe(|reader| {
            read(&mut Section::new(reader, path, None, Place::Whole));
        });
        None
    }

    /// An array of tables, or of names beside tables, each with its place; none where the key is not there. It is set in the file alone.
    pub(super) fn elements<T>(
        &mut self,
        key: &'static str,
        expected: &'static str,
        mut read: impl FnMut(Element<'_, 'd>) -> Result<T, Fault>,
    ) -> Option<Vec<(T, Place)>> {
        self.ask_in_file(key);
        let path = format!("{}[]", join(&self.path, key));
        self.reader.probe(|reader| {
            let _ = read(Element::Table(Section::new(reader, path.clone(), None, Place::Whole)));
        });
        let value = self.in_file(key)?;
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, value, expected);
            return None;
        };
        let mut values = Vec::new();
        for element in array.iter() {
            let place = self.reader.excerpt(element.span());
            let result = match element.get_ref() {
                DeValue::String(name) => read(Element::Name(name)),
                DeValue::Table(table) => {
                    read(Element::Table(Section::new(self.reader, path.clone(), Some(table), place.clone())))
                }
                other => Err(Fault::WrongType { key: key.into(), found: kind(other), expected: expected.into() }),
            };
            match result {
                Ok(value) => values.push((value, place)),
                Err(fault) => self.problem(fault, place),
            }
        }
        Some(values)
    }

    /// A table whose keys are not ours, as JSON.
    pub(super) fn free_table(&mut self, key: &'static str) -> Map<String, Value> {
        self.ask_in_file(key);
        let Some(value) = self.in_file(key) else { return Map::new() };
        match value.get_ref().as_table() {
            Some(table) => self.json_table(table),
            None => {
                self.wrong_type(key, value, "a table");
                Map::new()
            }
        }
    }

    /// Reports the keys that stand in the table and were never asked for.
    pub(super) fn finish(&mut self) {
        for key in self.table.into_iter().flat_map(DeTable::keys) {
            if !self.asked.iter().any(|asked| asked == key.get_ref()) {
                let place = self.reader.excerpt(key.span());
                self.reader.unknown_key(&self.path, key.get_ref(), place);
            }
        }
    }

    fn ask(&mut self, key: &'static str) {
        self.learn(key, !self.in_list());
    }

    fn ask_in_file(&mut self, key: &'static str) {
        self.learn(key, false);
    }

    fn learn(&mut self, key: &'static str, has_variable: bool) {
        self.asked.push(key);
        self.reader.learn(&join(&self.path, key), has_variable);
    }

    /// Whether this is a table of an array: which of them a variable would mean cannot be said.
    fn in_list(&self) -> bool {
        self.path.contains("[]")
    }

    fn in_file(&self, key: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.table?.get(key)
    }

    fn given(&mut self, key: &str) -> Option<Given<'d>> {
        if !self.in_list()
            && let Some((text, place)) = self.reader.overriding(&join(&self.path, key))
        {
            return Some(Given::Text(text, place));
        }
        self.in_file(key).map(Given::Toml)
    }

    fn shown(&self, given: &Given<'d>, secret: bool) -> (String, Place) {
        let (written, place) = match given {
            Given::Text(text, place) => (format!("{:?}", shorten(text)), place.clone()),
            Given::Toml(value) => (self.reader.written(value.span()), self.reader.excerpt(value.span())),
        };
        if secret { ("not shown here".into(), place.hidden()) } else { (written, place) }
    }

    /// A value of the file, or an element of an array in it.
    fn element<T: Setting>(&mut self, key: &'static str, value: &'d Spanned<DeValue<'d>>) -> Option<T> {
        let read = T::from_toml(value.get_ref());
        let Range { start, end } = value.span();
        let place = self.reader.excerpt(start..end);
        let written = self.reader.written(start..end);
        self.taken(key, read, kind(value.get_ref()), &written, place)
    }

    fn taken<T: Setting>(
        &mut self,
        key: &str,
        read: Result<T, Refusal>,
        found: &'static str,
        written: &str,
        place: Place,
    ) -> Option<T> {
        let place = if T::SECRET && read.is_err() { place.hidden() } else { place };
        let given = if T::SECRET { "not shown here" } else { written };
        let expected = |reason: Option<String>| reason.unwrap_or_else(|| T::EXPECTED.into());
        let fault = match read {
            Ok(value) => return Some(value),
            Err(Refusal::Type) => Fault::WrongType { key: key.into(), found, expected: expected(None) },
            Err(Refusal::Value(reason)) => {
                Fault::Invalid { key: key.into(), given: given.into(), expected: expected(reason) }
            }
        };
        self.problem(fault, place);
        None
    }

    fn wrong_type(&mut self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let found = kind(value.get_ref());
        let place = self.reader.excerpt(value.span());
        self.problem(Fault::WrongType { key: key.into(), found, expected: expected.into() }, place);
    }

    fn json_table(&mut self, table: &DeTable<'_>) -> Map<String, Value> {
        table.iter().map(|(key, value)| (key.get_ref().to_string(), self.json(key.get_ref(), value))).collect()
    }

    fn json(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Value {
        let number = match value.get_ref() {
            DeValue::String(text) => return Value::String(text.to_string()),
            DeValue::Boolean(boolean) => return Value::Bool(*boolean),
            DeValue::Datetime(time) => return Value::String(time.to_string()),
            DeValue::Array(array) => return array.iter().map(|element| self.json(key, element)).collect(),
            DeValue::Table(table) => return Value::Object(self.json_table(table)),
            DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix()).ok().map(Into::into),
            DeValue::Float(n) => n.as_str().parse().ok().and_then(serde_json::Number::from_f64),
        };
        number.map(Value::Number).unwrap_or_else(|| {
            let (given, place) = (self.reader.written(value.span()), self.reader.excerpt(value.span()));
            let expected = "a finite number that fits 64 bits".into();
            self.problem(Fault::Invalid { key: key.into(), given, expected }, place);
            Value::Null
        })
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
