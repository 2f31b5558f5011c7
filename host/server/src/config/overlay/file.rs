//! The overlay's file: read as the configuration is, and written whole.

use std::io::{self, ErrorKind, Write};
use std::path::Path;

use serde::Serialize;

use super::settle::settle;
use super::{Change, Overlay};
use crate::config::fault::ConfigErrors;
use crate::config::form::{LadderForm, RenditionForm};
use crate::config::ladder::Ladder;
use crate::config::reader::{Reader, Source};
use crate::config::rendition::Rendition;
use crate::config::{Config, parse_toml, read_file};

const HEADER: &str = "\
# Changes made through the API to the ladders of the configuration beside this file. The server writes it; the configuration is never
# written. To keep a change for good, move it into the configuration: what stands there as well is passed over here.\n\n";

#[derive(Serialize)]
struct Document {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    removed: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    change: Vec<ChangeForm>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ladder: Vec<AddedLadder>,
}

#[derive(Serialize)]
struct ChangeForm {
    ladder: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    removed: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    added: Vec<RenditionForm>,
}

#[derive(Serialize)]
struct AddedLadder {
    #[serde(flatten)]
    ladder: LadderForm,
    renditions: Vec<RenditionForm>,
}

fn forms(renditions: &[Rendition]) -> Vec<RenditionForm> {
    renditions.iter().map(RenditionForm::from).collect()
}

impl From<&Overlay> for Document {
    fn from(overlay: &Overlay) -> Self {
        let change = |change: &Change| ChangeForm {
            ladder: change.ladder.to_string(),
            removed: change.removed.iter().map(ToString::to_string).collect(),
            added: forms(&change.added),
        };
        let added =
            |ladder: &Ladder| AddedLadder { ladder: LadderForm::from(ladder), renditions: forms(&ladder.renditions) };
        Self {
            removed: overlay.removed.iter().map(ToString::to_string).collect(),
            change: overlay.changes.iter().map(change).collect(),
            ladder: overlay.ladders.iter().map(added).collect(),
        }
    }
}

impl Overlay {
    /// Reads the overlay of a configuration. With it come sentences on what of it is passed over.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn of(config: &Config) -> Result<(Self, Vec<String>), ConfigErrors> {
        match &config.api.overlay {
            Some(file) => Self::load(file, &config.ladders),
            None => Ok(Default::default()),
        }
    }

    /// Reads the overlay of the ladders that are `configured`; none where there is no such file. With it come sentences on what of it is
    /// passed over.
    ///
    /// # Errors
    /// All that is wrong with it: as for a configuration, and what was added and has no place any more.
    pub fn load(path: &Path, configured: &[Ladder]) -> Result<(Self, Vec<String>), ConfigErrors> {
        // Whether it can be read is seen below.
        if std::fs::metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Ok(Default::default());
        }
        let text = read_file(path)?;
        let table = parse_toml(Some(path), &text)?;
        let mut reader = Reader::new(&text, Source::File(Some(path)), std::iter::empty());
        let mut root = reader.root(table.get_ref());
        let settled = settle(&mut root, configured);
        root.finish();
        let (problems, _) = reader.finish();
        if problems.is_empty() { Ok(settled) } else { Err(ConfigErrors::new(Some(path), problems)) }
    }

    /// Writes it: whole or, where that fails, not at all.
    ///
    /// # Errors
    /// Where the directory or the file cannot be written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let text = toml::to_string_pretty(&Document::from(self)).map_err(io::Error::other)?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".millrace-overlay-").tempfile_in(directory)?;
        file.write_all(HEADER.as_bytes())?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        // The new name has to outlive a power cut as well.
        std::fs::File::open(directory)?.sync_all()
    }
}
