//! Sample entries (ISO/IEC 14496-12, 8.5.2): which codec, in which format, with which configuration.

use bytes::Bytes;
use millrace_media::track::Format;
use mp4_atom::{Audio, Btrt, Decode, Dops, Esds, Visual};

use super::{CodecConfig, Note, codec};
use crate::boxes::{BoxRef, Boxes};
use crate::fourcc::{self, FourCC};
use crate::reader::ReadError;

/// What a sample entry says.
pub(super) struct Entry {
    pub(super) codec: String,
    pub(super) format: Format,
    pub(super) config: CodecConfig,
    pub(super) bitrate: Option<u32>,
    pub(super) notes: Vec<Note>,
}

/// An entry, or why its codec is not supported.
type Known = Result<Entry, String>;

/// The codec of an event message track (ISO/IEC 23001-18).
pub const EVENT_MESSAGES: &str = "evte";

const SUPPORTED: &str = "H.264 (avc1, avc3), HEVC (hvc1, hev1), AV1 (av01), AAC (mp4a), Opus (Opus), WebVTT (wvtt), TTML (stpp) and timed \
     metadata (evte, mett, urim) are";

/// Of the fields that every sample entry begins with (ISO/IEC 14496-12, 8.5.2.2), in bytes.
const ENTRY_FIELDS: usize = 8;
/// The longest configuration of text or metadata, in bytes.
const MAX_TEXT_CONFIG: usize = 16 << 10;

/// The longest `esds`, in bytes. Descriptors may stand in descriptors, and the decoder follows them down on the stack; a real one,
/// with the channels described at length, takes less than 200.
const MAX_ESDS: u64 = 512;

/// Reads a sample entry.
///
/// # Errors
/// Where an entry of a codec that is understood is broken, or lacks its configuration.
pub(super) fn read(entry: &BoxRef<'_>) -> Result<Known, ReadError> {
    match entry.kind.as_ref() {
        b"avc1" | b"avc3" => video(entry, fourcc::AVCC, CodecConfig::Avc, codec::avc).map(Ok),
        b"hvc1" | b"hev1" => video(entry, fourcc::HVCC, CodecConfig::Hevc, codec::hevc).map(Ok),
        b"av01" => {
            let mut found = video(entry, fourcc::AV1C, CodecConfig::Av1, |_, record| codec::av1(record))?;
            if !codec::has_sequence_header(found.config.record()) {
                found.notes.push(Note::Av1WithoutSequenceHeader);
            }
            Ok(Ok(found))
        }
        b"mp4a" => aac(entry),
        b"Opus" => opus(entry).map(Ok),
        b"wvtt" => Ok(web_vtt(entry)),
        b"stpp" => Ok(ttml(entry)),
        b"evte" | b"mett" | b"urim" => Ok(data(entry)),
        b"encv" | b"enca" => {
            Ok(Err(format!("encrypted media ({}) is not supported; {SUPPORTED}, in the clear", entry.kind)))
        }
        _ => Ok(Err(format!("{} is not supported; {SUPPORTED}", entry.kind))),
    }
}

fn video(
    entry: &BoxRef<'_>,
    config: FourCC,
    wrap: fn(Bytes) -> CodecConfig,
    codec: fn(FourCC, &[u8]) -> Option<String>,
) -> Result<Entry, ReadError> {
    let (visual, children) = fields::<Visual>(entry)?;
    let record = find(children.clone(), config)?.ok_or(ReadError::Missing { kind: config, inside: entry.kind })?.body();
    Ok(Entry {
        codec: codec(entry.kind, record).ok_or(ReadError::TooShort { kind: config, size: record.len() })?,
        format: Format::Video { width: visual.width.into(), height: visual.height.into(), frame_rate: None },
        config: wrap(Bytes::copy_from_slice(record)),
        bitrate: declared_bitrate(children)?,
        notes: Vec::new(),
    })
}

fn aac(entry: &BoxRef<'_>) -> Result<Known, ReadError> {
    let (audio, children) = fields::<Audio>(entry)?;
    let mut esds = find(children.clone(), fourcc::ESDS)?;
    if esds.is_none()
        && let Some(wave) = find(children.clone(), fourcc::WAVE)?
    {
        esds = wave.child(fourcc::ESDS)?;
    }
    let esds = esds.ok_or(ReadError::Missing { kind: fourcc::ESDS, inside: entry.kind })?;
    let size = esds.whole.len() as u64;
    if size > MAX_ESDS {
        return Err(ReadError::TooLarge { kind: fourcc::ESDS, size, limit: MAX_ESDS });
    }
    let decoder = esds.decode::<Esds>()?.es_desc.dec_config;
    // MPEG-4 audio, and the three profiles of AAC under their MPEG-2 names (the registration authority's table of object types).
    let object_type = decoder.object_type_indication;
    if !matches!(object_type, 0x40 | 0x66..=0x68) {
        return Ok(Err(format!("mp4a with object type {object_type:#04x} is not supported; {SUPPORTED}")));
    }
    let Some(record) = decoder.dec_specific.map(|specific| specific.raw).filter(|raw| raw.len() >= 2) else {
        return Ok(Err("mp4a without an AudioSpecificConfig of at least 2 bytes".to_owned()));
    };
    let config = codec::AudioSpecificConfig::read(&record);
    let bitrate = declared_bitrate(children)?.or(rate(decoder.avg_bitrate, decoder.max_bitrate));
    let declared = u32::from(audio.sample_rate.integer());
    Ok(Ok(Entry {
        codec: config.codec(object_type),
        format: Format::Audio {
            sample_rate: if declared > 0 { declared } else { config.sample_rate },
            channels: config.channels.unwrap_or(audio.channel_count),
        },
        config: CodecConfig::Aac(record.into()),
        bitrate,
        notes: Vec::new(),
    }))
}

fn opus(entry: &BoxRef<'_>) -> Result<Entry, ReadError> {
    let (_, children) = fields::<Audio>(entry)?;
    let missing = ReadError::Missing { kind: fourcc::DOPS, inside: entry.kind };
    let dops = find(children.clone(), fourcc::DOPS)?.ok_or(missing)?;
    let config: Dops = dops.decode()?;
    Ok(Entry {
        codec: "opus".to_owned(),
        format: Format::Audio { sample_rate: codec::OPUS_RATE.get(), channels: config.output_channel_count.into() },
        config: CodecConfig::Opus(Bytes::copy_from_slice(dops.body())),
        bitrate: declared_bitrate(children)?,
        notes: Vec::new(),
    })
}

/// Text that is broken is left out: the other tracks of the header can be played without it.
fn web_vtt(entry: &BoxRef<'_>) -> Known {
    let children = entry.children(ENTRY_FIELDS);
    match find(children.clone(), fourcc::VTTC) {
        Ok(Some(config)) if config.body().len() <= MAX_TEXT_CONFIG => {
            let bitrate = declared_bitrate(children).unwrap_or_default();
            Ok(text("wvtt", CodecConfig::WebVtt(Bytes::copy_from_slice(config.body())), bitrate))
        }
        _ => Err(format!("wvtt without a vttC of at most {MAX_TEXT_CONFIG} bytes")),
    }
}

fn ttml(entry: &BoxRef<'_>) -> Known {
    let fields = entry.body().get(ENTRY_FIELDS..).unwrap_or_default();
    let mut ends = fields.iter().enumerate().filter(|(at, byte)| **byte == 0 && *at < MAX_TEXT_CONFIG);
    match ends.nth(2) {
        Some((end, _)) => Ok(text("stpp", CodecConfig::Ttml(Bytes::copy_from_slice(&fields[..=end])), None)),
        None => Err(format!("stpp without its three texts, which take at most {MAX_TEXT_CONFIG} bytes")),
    }
}

/// Metadata says what it is in the entry alone: samples are passed on unread.
fn data(entry: &BoxRef<'_>) -> Known {
    let record = entry.body().get(ENTRY_FIELDS..).unwrap_or_default();
    if record.len() > MAX_TEXT_CONFIG {
        return Err(format!("{} with a description of more than {MAX_TEXT_CONFIG} bytes", entry.kind));
    }
    let config = CodecConfig::Data(entry.kind, Bytes::copy_from_slice(record));
    Ok(Entry { codec: entry.kind.to_string(), format: Format::Data, config, bitrate: None, notes: Vec::new() })
}

fn text(codec: &str, config: CodecConfig, bitrate: Option<u32>) -> Entry {
    Entry { codec: codec.to_owned(), format: Format::Text, config, bitrate, notes: Vec::new() }
}

/// True of an entry of video or images in a codec that is understood.
pub(super) fn is_visual(entry: &BoxRef<'_>) -> bool {
    matches!(entry.kind.as_ref(), b"avc1" | b"avc3" | b"hvc1" | b"hev1" | b"av01")
}

/// The fields at the beginning of an entry, and the boxes that follow them.
pub(super) fn fields<'a, T: Decode>(entry: &BoxRef<'a>) -> Result<(T, Boxes<'a>), ReadError> {
    let mut rest = entry.body();
    let fields = T::decode(&mut rest).map_err(|source| ReadError::Malformed { kind: entry.kind, source })?;
    Ok((fields, entry.children(entry.body().len() - rest.len())))
}

pub(super) fn find<'a>(children: Boxes<'a>, kind: FourCC) -> Result<Option<BoxRef<'a>>, ReadError> {
    for child in children {
        let child = child?;
        if child.kind == kind {
            return Ok(Some(child));
        }
    }
    Ok(None)
}

fn declared_bitrate(children: Boxes<'_>) -> Result<Option<u32>, ReadError> {
    let Some(btrt) = find(children, fourcc::BTRT)? else { return Ok(None) };
    let btrt: Btrt = btrt.decode()?;
    Ok(rate(btrt.avg_bitrate, btrt.max_bitrate))
}

fn rate(average: u32, max: u32) -> Option<u32> {
    [average, max].into_iter().find(|rate| *rate > 0)
}
