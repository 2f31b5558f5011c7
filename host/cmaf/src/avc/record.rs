//! `AVCDecoderConfigurationRecord`: ISO/IEC 14496-15 5.3.3.1.

use super::{AvcError, Sequence};

/// The content of the `avcC` box for a stream with one sequence and one picture parameter set, their NAL headers included, and lengths
/// of four bytes.
///
/// # Errors
/// Where the sequence parameter set is broken, or a set is too long for its length of 16 bits.
pub fn write_record(sequence: &[u8], picture: &[u8]) -> Result<Vec<u8>, AvcError> {
    let read = Sequence::read(sequence)?;
    let length = |set: &[u8]| u16::try_from(set.len()).map_err(|_| AvcError::Short("the length of a parameter set"));
    let (sequence_length, picture_length) = (length(sequence)?, length(picture)?);
    let &[_, profile, compatibility, level, ..] = sequence else {
        return Err(AvcError::Short("a sequence parameter set"));
    };
    let mut record = vec![1, profile, compatibility, level, 0xfc | 3, 0xe0 | 1];
    record.extend(sequence_length.to_be_bytes());
    record.extend(sequence);
    record.push(1);
    record.extend(picture_length.to_be_bytes());
    record.extend(picture);
    // These profiles say chroma format and bit depths once more, and list no extensions.
    if !matches!(profile, 66 | 77 | 88) {
        record.extend([0xfc | read.chroma_format, 0xf8 | read.luma_depth, 0xf8 | read.chroma_depth, 0]);
    }
    Ok(record)
}

/// The bytes of the length before each NAL unit, and the first sequence parameter set, in the content of an `avcC` box.
///
/// # Errors
/// Where the record is broken, or has no sequence parameter set.
pub fn read_record(record: &[u8]) -> Result<(usize, &[u8]), AvcError> {
    const SHORT: AvcError = AvcError::Short("an avcC");
    let [version, _, _, _, lengths, count, rest @ ..] = record else { return Err(SHORT) };
    if *version != 1 {
        return Err(AvcError::Version(*version));
    }
    let length_size = usize::from(lengths & 3) + 1;
    if length_size == 3 {
        return Err(AvcError::LengthSize(length_size));
    }
    if count & 0x1f == 0 {
        return Err(AvcError::Missing("sequence parameter set"));
    }
    let (length, rest) = rest.split_first_chunk::<2>().ok_or(SHORT)?;
    let sequence = rest.get(..usize::from(u16::from_be_bytes(*length))).ok_or(SHORT)?;
    Ok((length_size, sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let sequence = [
            0x67, 0x64, 0, 0x0c, 0xac, 0xd9, 0x41, 0x41, 0x9f, 0x9f, 1, 0x10, 0, 0, 3, 0, 0x10, 0, 0, 3, 3, 0x20, 0xf1,
            0x42, 0x99, 0x60,
        ];
        let record = write_record(&sequence, &[0x68, 0xef, 0x8f, 0xcb]).unwrap();
        assert_eq!(record[..6], [1, 0x64, 0, 0x0c, 0xff, 0xe1]);
        assert_eq!(record[record.len() - 8..], [0x68, 0xef, 0x8f, 0xcb, 0xfd, 0xf8, 0xf8, 0]);
        assert_eq!(read_record(&record), Ok((4, &sequence[..])));
    }

    #[test]
    fn hostile_records_are_refused_with_the_reason() {
        let record = [1, 66, 0, 30, 0xff, 0xe1, 0, 3, 0x67, 66, 0, 1, 0, 1, 0x68];
        assert_eq!(read_record(&record), Ok((4, &[0x67, 66, 0][..])));
        for length in 0..11 {
            assert_eq!(read_record(&record[..length]), Err(AvcError::Short("an avcC")), "{length}");
        }
        let with = |at: usize, value: u8| {
            let mut changed = record;
            changed[at] = value;
            read_record(&changed).map(|_| ()).unwrap_err()
        };
        assert_eq!(with(0, 2), AvcError::Version(2));
        assert_eq!(with(4, 0xfe), AvcError::LengthSize(3));
        assert_eq!(with(5, 0xe0), AvcError::Missing("sequence parameter set"));
    }
}
