//! What can be wrong with a configuration, and how it is told: the place, the line with a caret, what was expected, what to do.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What is wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file is missing, or may not be read.
    #[error("cannot read the file: {0}")]
    Unreadable(String),
    /// No configuration is so long.
    #[error("the file has more than {limit} bytes: it is hardly a configuration")]
    TooLong {
        /// The longest that is read, bytes.
        limit: u64,
    },
    /// The bytes from here on are not text.
    #[error("not UTF-8, expected a TOML file")]
    Encoding,
    /// Not TOML.
    #[error("not TOML: {0}")]
    Syntax(String),
    /// Not JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// No such key.
    #[error("unknown key `{key}` in {section}")]
    UnknownKey {
        /// As written.
        key: String,
        /// The table it stands in.
        section: String,
    },
    /// No such variable.
    #[error("unknown environment variable")]
    UnknownVariable,
    /// A value of another type.
    #[error("`{key}` is {found}, expected {expected}")]
    WrongType {
        /// The key.
        key: String,
        /// The type of the value given.
        found: &'static str,
        /// What is taken.
        expected: String,
    },
    /// A value of the right type that does not do.
    #[error("`{key}` is {given}, expected {expected}")]
    Invalid {
        /// The key.
        key: String,
        /// The value, as written.
        given: String,
        /// What is taken.
        expected: String,
    },
    /// A key without which its table says nothing.
    #[error("{section} has no {keys}")]
    Missing {
        /// The key; or those of which one is wanted, in words.
        keys: String,
        /// The table that wants it.
        section: String,
    },
    /// Something that may be there once is there again.
    #[error("{what} {value} is already taken by {first}")]
    Duplicate {
        /// What has to be unique.
        what: &'static str,
        /// The value that came again.
        value: String,
        /// Who had it first.
        first: String,
    },
    /// Two keys that do not go together.
    #[error("{0}")]
    Conflict(String),
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The configuration as a whole.
    Whole,
    /// The file.
    File(Excerpt),
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
    /// The body of a request.
    Request,
}

/// A stretch of the file, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// How many characters the fault covers, at least 1.
    pub width: usize,
    /// The whole line; none where it holds a secret.
    pub text: Option<String>,
}

impl Excerpt {
    /// The place of a span of bytes in a text. A span over several lines is cut at the end of its first.
    pub(super) fn of(text: &str, span: Range<usize>) -> Self {
        let start = text.floor_char_boundary(span.start.min(text.len()));
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |length| start + length);
        let end = text.ceil_char_boundary(span.end.clamp(start, line_end)).min(line_end);
        Self {
            line: text[..line_start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            width: text[start..end].chars().count().max(1),
            text: Some(text[line_start..line_end].trim_end_matches('\r').to_owned()),
        }
    }
}

impl Place {
    /// As told in a sentence about another place: "line 3", "the variable MILLRACE_HTTP_LISTEN".
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Whole => "the configuration".into(),
            Self::File(excerpt) => format!("line {}", excerpt.line),
            Self::Variable(name) => format!("the variable {name}"),
            Self::Flag(name) => format!("the flag {name}"),
            Self::Request => "another in the request".into(),
        }
    }

    /// The same place without the text that stands there.
    pub(super) fn hidden(self) -> Self {
        match self {
            Self::File(excerpt) => Self::File(Excerpt { text: None, ..excerpt }),
            other => other,
        }
    }

    fn order(&self) -> (u8, usize, usize) {
        match self {
            Self::File(excerpt) => (0, excerpt.line, excerpt.column),
            Self::Variable(_) => (1, 0, 0),
            Self::Flag(_) => (2, 0, 0),
            Self::Whole | Self::Request => (3, 0, 0),
        }
    }
}

/// One fault at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub fault: Fault,
    /// Where.
    pub place: Place,
    /// What to do about it, where that can be guessed.
    pub help: Option<String>,
}

/// All that is wrong with a configuration, in the order of the file. Its display is for people, a paragraph for each problem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    file: Option<PathBuf>,
    problems: Vec<Problem>,
}

impl ConfigErrors {
    pub(super) fn new(file: Option<&Path>, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.place.order());
        Self { file: file.map(Path::to_path_buf), problems }
    }

    /// The file that was read.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Every problem found: at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_deref().map(|file| file.display().to_string());
        let file = file.as_deref().unwrap_or("(no file)");
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "error: {}", problem.fault)?;
            match &problem.place {
                Place::Whole => write!(f, "\n  --> {file}")?,
                Place::Request => write!(f, "\n  --> the request")?,
                Place::Variable(name) => write!(f, "\n  --> environment variable {name}")?,
                Place::Flag(name) => write!(f, "\n  --> command line flag {name}")?,
                Place::File(excerpt) => write!(f, "\n  --> {file}:{}:{}{excerpt}", excerpt.line, excerpt.column)?,
            }
            if let Some(help) = &problem.help {
                write!(f, "\n  = help: {help}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(text) = &self.text else { return Ok(()) };
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        // Tabs are kept, so that the caret stands under its place however wide the terminal draws them.
        let indent: String = text.chars().take(self.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        write!(f, "\n {margin} |\n {number} | {text}\n {margin} | {indent}{}", "^".repeat(self.width))
    }
}
