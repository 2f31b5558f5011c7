//! Who made a component, and with what: the custom sections that `wasm-metadata`, and the tools built on it, write.

use wasmparser::{ComponentName, CustomSectionReader, KnownCustom};

use crate::text::tidy;

/// The most tools that are remembered of a component.
const MAX_PRODUCERS: usize = 32;

/// Who made a component, and with what. All of it is the component's own word, on one line and cut at 1 KiB each. What a component says
/// twice counts as it says it last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Its name, from the section `component-name`.
    pub name: Option<String>,
    /// Its version, as the Open Container Initiative's annotation `version`.
    pub version: Option<String>,
    /// What it does, in words.
    pub description: Option<String>,
    /// Who wrote it.
    pub authors: Option<String>,
    /// Its licences: an SPDX expression.
    pub licenses: Option<String>,
    /// The languages and tools it was made with, the first 32 of them.
    pub producers: Vec<Producer>,
}

/// A language or a tool that a component was made with, from the section `producers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    /// `language`, `sdk` or `processed-by`.
    pub field: String,
    /// What the language or tool is called.
    pub name: String,
    /// Its version, which may be empty.
    pub version: String,
}

impl About {
    /// Takes what a custom section of the component says. Nothing runs by these sections, so one that cannot be read is passed over, as
    /// runtimes do.
    pub(super) fn learn(&mut self, section: &CustomSectionReader<'_>) {
        let known = match section.name() {
            "version" => &mut self.version,
            "description" => &mut self.description,
            "authors" => &mut self.authors,
            "licenses" => &mut self.licenses,
            _ => return self.learn_known(section),
        };
        if let Ok(text) = std::str::from_utf8(section.data()) {
            *known = Some(tidy(text));
        }
    }

    fn learn_known(&mut self, section: &CustomSectionReader<'_>) {
        match section.as_known() {
            KnownCustom::ComponentName(names) => {
                // The name comes first, before those of everything in the component, which may be many.
                if let Some(Ok(ComponentName::Component { name, .. })) = names.into_iter().next() {
                    self.name = Some(tidy(name));
                }
            }
            KnownCustom::Producers(fields) => {
                let fields = fields.into_iter().map_while(Result::ok).take(MAX_PRODUCERS);
                let values = fields.flat_map(|field| {
                    field.values.into_iter().map_while(Result::ok).map(move |value| (field.name, value))
                });
                let room = MAX_PRODUCERS.saturating_sub(self.producers.len());
                self.producers.extend(values.take(room).map(|(field, value)| Producer {
                    field: field.into(),
                    name: tidy(value.name),
                    version: tidy(value.version),
                }));
            }
            _ => {}
        }
    }
}
