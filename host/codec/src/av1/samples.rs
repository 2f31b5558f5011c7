//! From temporal units to samples: AV1 in ISOBMFF 2.4.

use bytes::{Bytes, BytesMut};
use millrace_cmaf::av1::{Obu, obus, read_record, write_record};

use crate::encode::{EncodeError, VideoConfig};
use crate::picture::Size;
use crate::settings::VideoCodec;

/// Makes samples of an encoder's temporal units, and watches over its sequence header.
pub(crate) struct Samples {
    backend: &'static str,
    size: Size,
    headers: Option<Headers>,
}

/// The sequence header OBU, and the configuration made from it.
struct Headers {
    sequence: Bytes,
    config: VideoConfig,
}

impl Samples {
    /// For a backend's stream of pictures of a size.
    pub(crate) const fn new(backend: &'static str, size: Size) -> Self {
        Self { backend, size, headers: None }
    }

    /// What the init segment must say; known after the first unit.
    pub(crate) fn config(&self) -> Option<&VideoConfig> {
        self.headers.as_ref().map(|headers| &headers.config)
    }

    /// A temporal unit without its delimiter and padding. The sequence header stays in it: where it is missing, a key frame is no
    /// random access point (AV1 7.6.2).
    ///
    /// # Errors
    /// Where the sequence header differs from the first, a key frame has none, or the unit is broken.
    pub(crate) fn sample(&mut self, unit: Bytes, keyframe: bool) -> Result<Bytes, EncodeError> {
        let mut kept: Vec<&[u8]> = Vec::new();
        let mut described = false;
        for obu in obus(&unit) {
            let obu = obu.map_err(|error| self.failed(error.to_string()))?;
            match obu.kind {
                Obu::TEMPORAL_DELIMITER | Obu::PADDING => continue,
                Obu::SEQUENCE_HEADER => {
                    self.check(obu.whole)?;
                    described = true;
                }
                _ => {}
            }
            kept.push(obu.whole);
        }
        if keyframe && !described {
            return Err(self.failed("a key frame without a sequence header".to_owned()));
        }
        let length = kept.iter().map(|obu| obu.len()).sum();
        if length == 0 {
            return Err(self.failed("a temporal unit without a frame".to_owned()));
        }
        // Where the delimiter alone is left out, it stands at the beginning, and nothing needs to be copied.
        if kept[0].as_ptr_range().start == unit[unit.len() - length..].as_ptr_range().start {
            return Ok(unit.slice(unit.len() - length..));
        }
        let mut sample = BytesMut::with_capacity(length);
        kept.into_iter().for_each(|obu| sample.extend_from_slice(obu));
        Ok(sample.freeze())
    }

    /// Keeps the first sequence header, and compares later ones with it.
    fn check(&mut self, sequence: &[u8]) -> Result<(), EncodeError> {
        if let Some(known) = &self.headers {
            let same = known.sequence == sequence;
            return if same { Ok(()) } else { Err(EncodeError::HeadersChanged { backend: self.backend }) };
        }
        let record = write_record(sequence).map_err(|error| self.failed(error.to_string()))?;
        let header = read_record(&record).map_err(|error| self.failed(error.to_string()))?;
        let (width, height) = (header.max_width, header.max_height);
        if (width, height) != (self.size.width(), self.size.height()) {
            let reason = format!("a sequence header of {width}x{height} for pictures of {}", self.size);
            return Err(self.failed(reason));
        }
        let config = VideoConfig { codec: VideoCodec::Av1, record: record.into(), size: self.size };
        self.headers = Some(Headers { sequence: Bytes::copy_from_slice(sequence), config });
        Ok(())
    }

    fn failed(&self, reason: String) -> EncodeError {
        EncodeError::Backend { backend: self.backend, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 640x360.
    const SEQUENCE: [u8; 13] = [0x0a, 0x0b, 0, 0, 0, 0x0c, 0xc4, 0xff, 0x67, 0x3e, 0xfe, 0x40, 0x10];
    const DELIMITER: [u8; 2] = [0x12, 0];
    const FRAME: [u8; 4] = [0x32, 2, 7, 8];
    const PADDING: [u8; 3] = [0x7a, 1, 0x80];

    fn samples() -> Samples {
        Samples::new("test", Size::new(640, 360).unwrap())
    }

    #[test]
    fn the_delimiter_goes_and_the_sequence_header_stays() {
        let mut samples = samples();
        let unit = Bytes::from([&DELIMITER[..], &SEQUENCE, &FRAME].concat());
        let sample = samples.sample(unit.clone(), true).unwrap();
        assert_eq!(sample, [&SEQUENCE[..], &FRAME].concat());
        assert_eq!(sample.as_ptr(), unit[2..].as_ptr(), "nothing is copied");
        assert_eq!(samples.config().unwrap().record[4..], SEQUENCE);
        let padded = Bytes::from([&DELIMITER[..], &FRAME, &PADDING, &FRAME].concat());
        assert_eq!(samples.sample(padded, false).unwrap(), [FRAME, FRAME].concat());
    }

    #[test]
    fn a_changed_header_is_an_error_and_so_are_units_without_what_they_need() {
        let mut samples = samples();
        let first = [&SEQUENCE[..], &FRAME].concat();
        samples.sample(first.into(), true).unwrap();
        let mut other = [&SEQUENCE[..], &FRAME].concat();
        other[5] = 0x24;
        assert_eq!(samples.sample(other.into(), true), Err(EncodeError::HeadersChanged { backend: "test" }));
        let refused = |unit: &[u8], keyframe| {
            let mut samples = super::tests::samples();
            samples.sample(Bytes::copy_from_slice(unit), keyframe).unwrap_err().to_string()
        };
        assert_eq!(refused(&FRAME, true), "encoder test: a key frame without a sequence header");
        assert_eq!(refused(&DELIMITER, false), "encoder test: a temporal unit without a frame");
        assert_eq!(refused(&[0x32, 9], false), "encoder test: cut short: an OBU");
        let mut wide = SEQUENCE;
        wide[5] = 0xff;
        assert!(refused(&wide, true).contains("for pictures of 640x360"));
    }
}
