//! `AV1CodecConfigurationRecord`: AV1 in ISOBMFF 2.3.

use super::{Av1Error, Obu, SequenceHeader, obus};

/// Marker and version.
const FIRST: u8 = 0x81;

/// The content of the `av1C` box for a stream with this sequence header, as an OBU with its size.
///
/// # Errors
/// Where `obu` is not a sequence header that can be read.
pub fn write_record(obu: &[u8]) -> Result<Vec<u8>, Av1Error> {
    let header = sequence_header(obu)?;
    let flag = |flag: bool, shift: u8| u8::from(flag) << shift;
    let shape = flag(header.high_tier, 7)
        | flag(header.bit_depth > 8, 6)
        | flag(header.bit_depth == 12, 5)
        | flag(header.monochrome, 4)
        | flag(header.subsampling.0, 3)
        | flag(header.subsampling.1, 2)
        | header.chroma_sample_position;
    let mut record = vec![FIRST, header.profile << 5 | header.level, shape, 0];
    record.extend(obu);
    Ok(record)
}

/// The sequence header in the content of an `av1C` box.
///
/// # Errors
/// Where the record or its sequence header is broken, or there is none: it may be left out of the record.
pub fn read_record(record: &[u8]) -> Result<SequenceHeader, Av1Error> {
    let (fields, obus) = record.split_at_checked(4).ok_or(Av1Error::Short("an av1C"))?;
    if fields[0] != FIRST {
        return Err(Av1Error::Version(fields[0]));
    }
    sequence_header(obus)
}

fn sequence_header(bytes: &[u8]) -> Result<SequenceHeader, Av1Error> {
    for obu in obus(bytes) {
        let obu = obu?;
        if obu.kind == Obu::SEQUENCE_HEADER {
            return SequenceHeader::read(obu.payload);
        }
    }
    Err(Av1Error::NoSequenceHeader)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::av1::ColourDescription;

    /// 640x360 at level 2.1 without a colour description, as SVT-AV1 writes it.
    const PLAIN: [u8; 13] = [0x0a, 0x0b, 0, 0, 0, 0x0c, 0xc4, 0xff, 0x67, 0x3e, 0xfe, 0x40, 0x10];
    /// The same in BT.2020 with PQ and full range, as libaom writes it.
    const DESCRIBED: [u8; 16] = [0x0a, 0x0e, 0, 0, 0, 0x0c, 0xc4, 0xff, 0x67, 0x36, 0xbe, 0x44, 0x24, 0x40, 0x26, 0x10];

    #[test]
    fn what_is_written_is_read_again() {
        for (obu, colour) in
            [(&PLAIN[..], None), (&DESCRIBED[..], Some(ColourDescription { primaries: 9, transfer: 16, matrix: 9 }))]
        {
            let record = write_record(obu).unwrap();
            assert_eq!(record[..4], [0x81, 1, 0x0c, 0]);
            assert_eq!(record[4..], *obu);
            let expected = SequenceHeader {
                profile: 0,
                level: 1,
                high_tier: false,
                still_picture: false,
                reduced_still_picture: false,
                max_width: 640,
                max_height: 360,
                bit_depth: 8,
                monochrome: false,
                subsampling: (true, true),
                colour,
                full_range: colour.is_some(),
                chroma_sample_position: 0,
            };
            assert_eq!(read_record(&record), Ok(expected));
        }
    }

    #[test]
    fn broken_records_are_refused_with_the_reason() {
        let record = write_record(&PLAIN).unwrap();
        assert_eq!(read_record(&record[..3]), Err(Av1Error::Short("an av1C")));
        assert_eq!(read_record(&record[..4]), Err(Av1Error::NoSequenceHeader));
        assert_eq!(read_record(&record[..10]), Err(Av1Error::Short("an OBU")));
        assert_eq!(read_record(&[0x82, 0, 0, 0]), Err(Av1Error::Version(0x82)));
        assert_eq!(write_record(&[0x12, 0]), Err(Av1Error::NoSequenceHeader));
    }
}
