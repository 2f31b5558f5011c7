//! CMAF headers (ISO/IEC 23000-19, 7.3.1).

use bytes::Bytes;
use millrace_media::Timescale;
use millrace_media::track::{Format, Info};
use mp4_atom::esds::{DecoderConfig, DecoderSpecific, EsDescriptor, SLConfig};
use mp4_atom::{
    Audio, Btrt, BufMut, Dinf, Dref, DrefEntry, Encode, Esds, FixedPoint, Ftyp, Hdlr, Mdhd, Mvhd, Smhd, Stco, Stsc,
    Stsz, Stts, Tkhd, Trex, Url, Visual, Vmhd,
};

use super::WriteError;
use crate::fourcc::{self, FourCC};
use crate::header::{CodecConfig, TrackHeader, describe, language};

/// What a header is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct InitSettings {
    /// `track_ID`; not zero.
    pub track_id: u32,
    /// Ticks per second.
    pub timescale: Timescale,
    /// Size of the pictures, or rate and channels of the sound.
    pub format: Format,
    /// The codec and its configuration.
    pub config: CodecConfig,
    /// BCP 47, where known.
    pub language: Option<String>,
    /// Bits per second, where there is a target.
    pub bitrate: Option<u32>,
}

impl InitSettings {
    /// The description of a track with these settings, its header in [`Info::init`], as a reader of that header sees it. A frame rate
    /// in the format stands in the header as the default duration of a sample, where it is a whole number of ticks.
    ///
    /// # Errors
    /// Where a value does not fit its field, or the configuration is not one of its codec.
    pub fn track(&self) -> Result<TrackHeader, WriteError> {
        let init = self.init_segment()?;
        let mut track = describe(&init)?;
        if let (Format::Video { frame_rate: read, .. }, Format::Video { frame_rate, .. }) =
            (&mut track.info.format, self.format)
        {
            *read = frame_rate;
        }
        // The language as it was given may say more than the three letters that stand in the header.
        track.info.language.clone_from(&self.language);
        Ok(track)
    }

    /// The description alone, as [`InitSettings::track`].
    ///
    /// # Errors
    /// As [`InitSettings::track`].
    pub fn info(&self) -> Result<Info, WriteError> {
        Ok(self.track()?.info)
    }

    /// `ftyp` and `moov`.
    ///
    /// # Errors
    /// Where a value does not fit its field.
    pub fn init_segment(&self) -> Result<Bytes, WriteError> {
        if let Some((width, height)) = self.format.size()
            && (width > 0xffff || height > 0xffff)
        {
            return Err(WriteError::PictureSize { width, height });
        }
        let mut out = Vec::new();
        self.encode(&mut out).map_err(|source| WriteError::Encode { kind: fourcc::MOOV, source })?;
        Ok(out.into())
    }

    fn encode(&self, out: &mut Vec<u8>) -> mp4_atom::Result<()> {
        let brands = [b"cmfc", b"iso6", b"mp41"];
        Ftyp {
            major_brand: FourCC::new(b"cmfc"),
            minor_version: 0,
            compatible_brands: brands.iter().map(|brand| FourCC::new(brand)).collect(),
        }
        .encode(out)?;
        out.encode_atom(fourcc::MOOV, |out| {
            let next_track_id = self.track_id.saturating_add(1);
            Mvhd { timescale: 1000, rate: 1.into(), volume: 1.into(), next_track_id, ..Mvhd::default() }.encode(out)?;
            out.encode_atom(fourcc::TRAK, |out| self.trak(out))?;
            out.encode_atom(fourcc::MVEX, |out| self.trex().encode(out))
        })
    }

    fn trak(&self, out: &mut Vec<u8>) -> mp4_atom::Result<()> {
        let (width, height) = self.size();
        let sound = matches!(self.format, Format::Audio { .. });
        Tkhd {
            track_id: self.track_id,
            enabled: true,
            in_movie: true,
            volume: u8::from(sound).into(),
            width: width.into(),
            height: height.into(),
            ..Tkhd::default()
        }
        .encode(out)?;
        out.encode_atom(fourcc::MDIA, |out| {
            let language = self.language.as_deref().map_or("und", language::to_iso639).to_owned();
            Mdhd { timescale: self.timescale.get(), language, ..Mdhd::default() }.encode(out)?;
            let (handler, name) = match self.format {
                Format::Video { .. } => (b"vide", "Video"),
                Format::Audio { .. } => (b"soun", "Sound"),
                Format::Text if matches!(self.config, CodecConfig::Ttml(_)) => (b"subt", "Text"),
                Format::Text => (b"text", "Text"),
                Format::Image { .. } => (b"pict", "Images"),
                Format::Data => (b"meta", "Data"),
            };
            Hdlr { handler: FourCC::new(handler), name: name.to_owned() }.encode(out)?;
            out.encode_atom(fourcc::MINF, |out| self.minf(out))
        })
    }

    fn minf(&self, out: &mut Vec<u8>) -> mp4_atom::Result<()> {
        match self.format {
            Format::Video { .. } | Format::Image { .. } => Vmhd::default().encode(out)?,
            Format::Audio { .. } => Smhd::default().encode(out)?,
            Format::Text if matches!(self.config, CodecConfig::Ttml(_)) => mp4_atom::Sthd::default().encode(out)?,
            Format::Text | Format::Data => mp4_atom::Nmhd::default().encode(out)?,
        }
        let here = DrefEntry::Url(Url { location: String::new() });
        Dinf { dref: Dref { entries: vec![here] } }.encode(out)?;
        out.encode_atom(fourcc::STBL, |out| {
            out.encode_atom(fourcc::STSD, |out| {
                0u32.encode(out)?; // version and flags
                1u32.encode(out)?; // entry_count
                self.sample_entry(out)
            })?;
            // The samples are in the fragments.
            Stts::default().encode(out)?;
            Stsc::default().encode(out)?;
            Stsz::default().encode(out)?;
            Stco::default().encode(out)
        })
    }

    fn sample_entry(&self, out: &mut Vec<u8>) -> mp4_atom::Result<()> {
        let boxed = |out: &mut Vec<u8>, kind, record: &Bytes| {
            out.encode_atom(kind, |out| {
                out.append_slice(record);
                Ok(())
            })
        };
        let entry = match &self.config {
            CodecConfig::Data(entry, _) => entry.as_ref(),
            CodecConfig::Avc(_) => b"avc1",
            CodecConfig::Hevc(_) => b"hvc1",
            CodecConfig::Av1(_) => b"av01",
            CodecConfig::Aac(_) => b"mp4a",
            CodecConfig::Opus(_) => b"Opus",
            CodecConfig::WebVtt(_) => b"wvtt",
            CodecConfig::Ttml(_) => b"stpp",
        };
        out.encode_atom(FourCC::new(entry), |out| {
            self.fields(out)?;
            match &self.config {
                CodecConfig::Avc(record) => boxed(out, fourcc::AVCC, record)?,
                CodecConfig::Hevc(record) => boxed(out, fourcc::HVCC, record)?,
                CodecConfig::Av1(record) => boxed(out, fourcc::AV1C, record)?,
                CodecConfig::Aac(record) => self.esds(record).encode(out)?,
                CodecConfig::Opus(record) => boxed(out, fourcc::DOPS, record)?,
                CodecConfig::WebVtt(record) => boxed(out, fourcc::VTTC, record)?,
                // Fields of the entry, and no box.
                CodecConfig::Ttml(record) | CodecConfig::Data(_, record) => out.append_slice(record),
            }
            let btrt = |bitrate| Btrt { buffer_size_db: 0, max_bitrate: bitrate, avg_bitrate: bitrate };
            self.bitrate.map(btrt).encode(out)
        })
    }

    fn fields(&self, out: &mut Vec<u8>) -> mp4_atom::Result<()> {
        match self.format {
            Format::Audio { sample_rate, channels } => Audio {
                data_reference_index: 1,
                channel_count: channels,
                sample_size: 16,
                // A rate that does not fit 16 bits stands in the configuration only.
                sample_rate: FixedPoint::from(u16::try_from(sample_rate).unwrap_or(0)),
            }
            .encode(out),
            Format::Text | Format::Data => {
                [0u8; 6].encode(out)?; // reserved
                1u16.encode(out) // data_reference_index
            }
            Format::Video { .. } | Format::Image { .. } => {
                let (width, height) = self.size();
                Visual { data_reference_index: 1, width, height, ..Visual::default() }.encode(out)
            }
        }
    }

    fn esds(&self, record: &Bytes) -> Esds {
        let bitrate = self.bitrate.unwrap_or(0);
        Esds {
            es_desc: EsDescriptor {
                dec_config: DecoderConfig {
                    object_type_indication: 0x40,
                    stream_type: 5,
                    max_bitrate: bitrate,
                    avg_bitrate: bitrate,
                    dec_specific: Some(DecoderSpecific { raw: record.to_vec(), ..DecoderSpecific::default() }),
                    ..DecoderConfig::default()
                },
                sl_config: SLConfig {},
                ..EsDescriptor::default()
            },
        }
    }

    fn trex(&self) -> Trex {
        let ticks = match self.format {
            Format::Video { frame_rate: Some(rate), .. } if rate > 0.0 => {
                f64::from(self.timescale.get()) / f64::from(rate)
            }
            _ => 0.0,
        };
        Trex {
            track_id: self.track_id,
            default_sample_description_index: 1,
            default_sample_duration: if ticks.fract() == 0.0 { ticks as u32 } else { 0 },
            ..Trex::default()
        }
    }

    fn size(&self) -> (u16, u16) {
        // Checked before anything is written.
        let (width, height) = self.format.size().unwrap_or_default();
        (u16::try_from(width).unwrap_or(0), u16::try_from(height).unwrap_or(0))
    }
}
