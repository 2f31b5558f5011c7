//! What a publisher says of its tracks, in whichever format it says it.

mod hang;
#[cfg(test)]
mod hostile;
mod msf;
mod older;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use millrace_media::Payload;
use serde_json::Value;

/// More tracks than any publisher has; each may repeat what others say.
const MAX_TRACKS: usize = 64;
/// More values than so many tracks have fields. A value of one byte takes a hundred times as much in memory.
const MAX_VALUES: usize = 16_384;

/// The formats of catalogs, each in a track of its own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// draft-ietf-moq-msf, versions 00 and 01.
    Msf,
    /// moq-dev's.
    Hang,
    /// draft-ietf-moq-catalogformat, as moq-pub writes it.
    Older,
}

impl Format {
    pub(super) const ALL: [Self; 3] = [Self::Msf, Self::Hang, Self::Older];

    /// The name of the track.
    pub(super) const fn track(self) -> &'static str {
        match self {
            Self::Msf => moq_msf::DEFAULT_NAME,
            Self::Hang => ::hang::catalog::Catalog::DEFAULT_NAME,
            Self::Older => ".catalog",
        }
    }
}

/// A catalog as it holds now.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Catalog {
    pub(super) tracks: Vec<Described>,
    /// Tracks that are not taken, and why.
    pub(super) left_out: Vec<(String, String)>,
}

/// A track of a catalog.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Described {
    pub(super) name: String,
    pub(super) container: Container,
    /// BCP 47, where known.
    pub(super) language: Option<String>,
}

/// How a track's objects are to be read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Container {
    /// Whole CMAF chunks.
    Cmaf(Init),
    /// A frame each, with its timestamp before it.
    Frames(Framing, Coding),
}

/// Where the header of a CMAF track is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Init {
    /// In the catalog.
    Inline(Bytes),
    /// It is the first object of another track.
    Track(String),
    /// Before the first chunk.
    InBand,
}

/// How the timestamp stands before a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// draft-ietf-moq-loc.
    Loc,
    /// hang's first: microseconds as a variable-length integer.
    Legacy,
}

/// The codec of frames, and what the catalog says of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Coding {
    pub(super) codec: Codec,
    /// `avcC`, `av1C`, `AudioSpecificConfig` or `OpusHead`.
    pub(super) description: Option<Bytes>,
    /// In Hz.
    pub(super) sample_rate: Option<u32>,
    pub(super) channels: Option<u16>,
    /// Pictures per second.
    pub(super) frame_rate: Option<f32>,
    /// Bits per second.
    pub(super) bitrate: Option<u32>,
}

/// The codecs whose frames can be made CMAF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Avc,
    Av1,
    Aac,
    Opus,
}

impl Codec {
    fn of(name: &str) -> Result<Self, String> {
        match name.split('.').next().unwrap_or_default() {
            "avc1" | "avc3" => Ok(Self::Avc),
            "av01" => Ok(Self::Av1),
            "mp4a" if name.starts_with("mp4a.40.") => Ok(Self::Aac),
            "opus" | "Opus" => Ok(Self::Opus),
            _ => Err(format!("frames of {name} are not taken: H.264, AV1, AAC and Opus are, and every codec of CMAF")),
        }
    }
}

/// Why an object of a catalog's track is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum CatalogError {
    /// It is too long, with those that it builds on.
    #[error("the catalog is longer than {0} bytes")]
    TooLong(usize),
    /// There are too many values.
    #[error("the catalog has more than {MAX_VALUES} values")]
    TooManyValues,
    /// There are too many tracks.
    #[error("the catalog has {0} tracks (expected at most {MAX_TRACKS})")]
    TooMany(usize),
    /// It is not JSON, or not of the format.
    #[error("the catalog cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// What is to be changed is not there.
    #[error("a change of a catalog comes before a catalog")]
    NothingToChange,
    /// A change that does not fit.
    #[error("the change of the catalog cannot be made: {0}")]
    Change(String),
}

/// Reads the objects of one catalog track.
#[derive(Debug)]
pub(super) struct Reader {
    format: Format,
    limit: usize,
    /// The catalog as it holds now.
    value: Option<Value>,
    /// Bytes that it was made of, those of clones with them.
    taken: usize,
}

impl Reader {
    /// Of a format; a catalog and its changes may be `limit` bytes long together.
    pub(super) fn new(format: Format, limit: usize) -> Self {
        Self { format, limit, value: None, taken: 0 }
    }

    /// Something is missing: what comes builds on what is not known.
    pub(super) fn lost(&mut self) {
        self.value = None;
    }

    /// Takes the next object, the `first` of its group or not, and gives the catalog that holds from then on.
    ///
    /// # Errors
    /// Where it is not taken; what held before does.
    pub(super) fn read(&mut self, first: bool, payload: &Payload) -> Result<Catalog, CatalogError> {
        let length = payload.len() as usize;
        let mut taken = length.saturating_add(if first { 0 } else { self.taken });
        if taken > self.limit {
            return Err(CatalogError::TooLong(self.limit));
        }
        let bytes = payload.contiguous(0, payload.len()).unwrap_or_default();
        if values(&bytes) > MAX_VALUES {
            return Err(CatalogError::TooManyValues);
        }
        let given: Value = serde_json::from_slice(&bytes)?;
        let known = if first { None } else { self.value.as_ref() };
        let value = match self.format {
            Format::Msf => msf::next(known, given, &mut taken, self.limit)?,
            Format::Hang if first => given,
            Format::Hang => hang::patched(known.ok_or(CatalogError::NothingToChange)?.clone(), given),
            Format::Older => given,
        };
        let catalog = match self.format {
            Format::Msf => msf::read(&value, self.limit)?,
            Format::Hang => hang::read(&value)?,
            Format::Older => older::read(&value, self.limit)?,
        };
        let count = catalog.tracks.len() + catalog.left_out.len();
        if count > MAX_TRACKS {
            return Err(CatalogError::TooMany(count));
        }
        self.value = Some(value);
        self.taken = taken;
        Ok(catalog)
    }
}

impl Catalog {
    fn add(&mut self, name: &str, described: Result<Described, String>) {
        match described {
            Ok(described) => self.tracks.push(described),
            Err(why) => self.left_out.push((name.to_owned(), why)),
        }
    }
}

/// How many values JSON has, at the most: what stands between brackets, colons and commas outside strings.
fn values(json: &[u8]) -> usize {
    let (mut count, mut in_string, mut escaped) = (1, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' | b':' | b',' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}

/// Counts the tracks before they are looked at.
fn check_tracks(tracks: Option<&Value>) -> Result<(), CatalogError> {
    let count = tracks.and_then(Value::as_array).map_or(0, Vec::len);
    if count > MAX_TRACKS { Err(CatalogError::TooMany(count)) } else { Ok(()) }
}

/// What several tracks share is read for each of them: together that may be as long as a catalog.
fn check_shared(lengths: impl Iterator<Item = usize>, limit: usize) -> Result<(), CatalogError> {
    if lengths.fold(0, usize::saturating_add) > limit { Err(CatalogError::TooLong(limit)) } else { Ok(()) }
}

fn base64(text: &str) -> Result<Bytes, String> {
    STANDARD.decode(text).map(Bytes::from).map_err(|error| format!("its initialization data is not base64: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(format: Format, value: &Value) -> Result<Catalog, CatalogError> {
        Reader::new(format, 1 << 16).read(true, &Payload::from(Bytes::from(value.to_string())))
    }

    fn names(catalog: &Catalog) -> Vec<&str> {
        catalog.tracks.iter().map(|track| track.name.as_str()).collect()
    }

    #[test]
    fn tracks_that_are_not_taken_are_left_out_with_the_reason() {
        let catalog = read(
            Format::Msf,
            &json!({"version": "draft-01", "tracks": [
                {"name": "a", "packaging": "loc", "codec": "avc1.42001e"},
                {"name": "b", "packaging": "loc", "codec": "vp8"},
                {"name": "c", "packaging": "mediatimeline"},
                {"name": "d", "packaging": "cmaf", "codec": "avc1.42001e", "initData": "?"},
            ]}),
        )
        .unwrap();
        assert_eq!(names(&catalog), ["a"]);
        let left_out: Vec<_> = catalog.left_out.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(left_out, ["b", "c", "d"]);
        assert!(catalog.left_out[0].1.contains("vp8") && catalog.left_out[2].1.contains("base64"));
    }

    #[test]
    fn what_is_no_catalog_is_refused() {
        for format in Format::ALL {
            assert!(matches!(read(format, &json!("hello")), Err(CatalogError::Json(_))), "{format:?}");
            let garbage = Payload::from(Bytes::from_static(b"\xff\x00{"));
            assert!(matches!(Reader::new(format, 100).read(true, &garbage), Err(CatalogError::Json(_))));
            let long = Payload::from(Bytes::from(vec![b' '; 101]));
            assert!(matches!(Reader::new(format, 100).read(true, &long), Err(CatalogError::TooLong(100))));
        }
        let tracks: Vec<_> = (0..=MAX_TRACKS).map(|n| json!({"name": n.to_string(), "packaging": "x"})).collect();
        let many = json!({"version": 1, "tracks": tracks});
        assert!(matches!(read(Format::Msf, &many), Err(CatalogError::TooMany(65))));
    }

    #[test]
    fn changes_count_towards_the_length() {
        let mut reader = Reader::new(Format::Hang, 100);
        let patch = Payload::from(Bytes::from_static(br#"{"video":{"renditions":{}}}"#));
        assert!(matches!(reader.read(false, &patch), Err(CatalogError::NothingToChange)));
        let empty = Payload::from(Bytes::from_static(br#"{"video":{"renditions":{}}, "audio":{"renditions":{}}}"#));
        reader.read(true, &empty).unwrap();
        reader.read(false, &patch).unwrap();
        assert!(matches!(reader.read(false, &patch), Err(CatalogError::TooLong(100))));
        reader.read(true, &empty).unwrap();
    }
}
