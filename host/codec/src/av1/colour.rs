//! The colour that an AV1 sequence header can say.

use crate::encode::EncodeError;
use crate::picture::Colour;

const UNSPECIFIED: u8 = 2;

/// The colour with the code points that AV1 knows (6.4.2), those that it does not as unspecified.
///
/// # Errors
/// For the identity matrix: AV1 has it with 4:4:4 only, and pictures here are 4:2:0.
pub(crate) fn describable(colour: Colour) -> Result<Colour, EncodeError> {
    if colour.matrix == 0 {
        return Err(EncodeError::Unsupported {
            what: "AV1 with matrix coefficients 0 (identity)".to_owned(),
            supported: "4:2:0 has luma and chroma, not red, green and blue",
        });
    }
    let known = |code: u8, known: bool| if known { code } else { UNSPECIFIED };
    Ok(Colour {
        primaries: known(colour.primaries, matches!(colour.primaries, 1 | 2 | 4..=12 | 22)),
        transfer: known(colour.transfer, matches!(colour.transfer, 1 | 2 | 4..=18)),
        matrix: known(colour.matrix, matches!(colour.matrix, 1 | 2 | 4..=14)),
        full_range: colour.full_range,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_codes_are_unspecified_and_identity_is_refused() {
        let colour = |primaries, transfer, matrix| Colour { primaries, transfer, matrix, full_range: true };
        assert_eq!(describable(colour(9, 16, 9)), Ok(colour(9, 16, 9)));
        assert_eq!(describable(colour(3, 19, 15)), Ok(colour(2, 2, 2)));
        assert_eq!(describable(colour(0, 0, 255)), Ok(colour(2, 2, 2)));
        assert!(describable(colour(1, 13, 0)).unwrap_err().to_string().contains("identity"));
    }
}
