//! ID3 tags of version 2.4 (id3v2.4.0-structure, id3v2.4.0-frames).

/// The longest tag, in bytes.
pub const LONGEST: usize = 16 << 10;
/// A header of a tag or of a frame, in bytes.
const HEADER: usize = 10;
/// Text is UTF-8.
const UTF8: u8 = 3;

/// A tag that is being made.
#[derive(Debug, Default)]
pub struct Tag {
    frames: Vec<u8>,
}

impl Tag {
    /// Adds a text frame, such as `TIT2` (id3v2.4.0-frames, 4.2).
    ///
    /// # Errors
    /// Where that is no text frame, and a sentence that says so.
    pub fn text(&mut self, id: &str, text: &str) -> Result<(), String> {
        let is_name = id.len() == 4 && id.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
        if !is_name || !id.starts_with('T') || id == "TXXX" {
            return Err(format!("{id:?} is no text frame: those are T and three capitals or digits, such as TIT2"));
        }
        self.frame(id, &[text])
    }

    /// Adds a text of one's own, `TXXX` (id3v2.4.0-frames, 4.2.6).
    ///
    /// # Errors
    /// As [`Tag::text`].
    pub fn own(&mut self, description: &str, text: &str) -> Result<(), String> {
        self.frame("TXXX", &[description, text])
    }

    /// Texts with a zero byte between them.
    fn frame(&mut self, id: &str, texts: &[&str]) -> Result<(), String> {
        if texts.iter().any(|text| text.contains('\0')) {
            return Err(format!("the text of {id} has a zero byte"));
        }
        let body = texts.join("\0");
        if HEADER + self.frames.len() + HEADER + 1 + body.len() > LONGEST {
            return Err(format!("the tag is longer than {LONGEST} bytes"));
        }
        self.frames.extend_from_slice(id.as_bytes());
        self.frames.extend_from_slice(&synchsafe(body.len() + 1));
        self.frames.extend_from_slice(&[0, 0, UTF8]);
        self.frames.extend_from_slice(body.as_bytes());
        Ok(())
    }

    /// The tag. None without a frame.
    pub fn finish(self) -> Option<Vec<u8>> {
        if self.frames.is_empty() {
            return None;
        }
        let mut tag = b"ID3\x04\0\0".to_vec();
        tag.extend_from_slice(&synchsafe(self.frames.len()));
        tag.extend_from_slice(&self.frames);
        Some(tag)
    }
}

/// Seven bits a byte (id3v2.4.0-structure, 6.2).
fn synchsafe(size: usize) -> [u8; 4] {
    [21, 14, 7, 0].map(|shift| ((size >> shift) & 0x7f) as u8)
}

/// Checks that these bytes are one whole tag of version 2.2 to 2.4.
///
/// # Errors
/// A sentence that says what is wrong.
#[cfg_attr(not(test), allow(dead_code, reason = "of those who share this file, not all are given tags"))]
pub fn check(tag: &[u8]) -> Result<(), String> {
    if tag.len() > LONGEST {
        return Err(format!("the tag has {} bytes, and may have {LONGEST}", tag.len()));
    }
    let [b'I', b'D', b'3', 2..=4, _, flags, size @ ..] = tag else {
        return Err("it is no ID3 tag of version 2.2 to 2.4".into());
    };
    let size = size.first_chunk::<4>().filter(|size| size.iter().all(|byte| *byte < 0x80));
    let size = size.ok_or("its size is not written as an ID3 tag's is")?;
    let size = size.iter().fold(0, |sum, byte| sum << 7 | usize::from(*byte));
    // A footer is as long as a header (id3v2.4.0-structure, 3.4).
    let whole = HEADER + size + if flags & 0x10 == 0 { 0 } else { HEADER };
    if whole == tag.len() { Ok(()) } else { Err(format!("the tag says {whole} bytes, and there are {}", tag.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_what_the_standard_says() {
        let mut tag = Tag::default();
        tag.text("TIT2", "héllo").unwrap();
        tag.own("who", "me").unwrap();
        let tag = tag.finish().unwrap();
        let expected =
            [&b"ID3\x04\0\0\0\0\0\x22"[..], b"TIT2\0\0\0\x07\0\0\x03h\xc3\xa9llo", b"TXXX\0\0\0\x07\0\0\x03who\0me"];
        assert_eq!(tag, expected.concat());
        assert_eq!(check(&tag), Ok(()));
    }

    #[test]
    fn long_texts_have_sizes_of_seven_bits() {
        let mut tag = Tag::default();
        tag.text("TIT2", &"a".repeat(300)).unwrap();
        let tag = tag.finish().unwrap();
        assert_eq!((&tag[6..10], &tag[14..18]), (&[0, 0, 2, 55][..], &[0, 0, 2, 45][..]));
        assert_eq!(check(&tag), Ok(()));
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        assert_eq!(Tag::default().finish(), None);
        for id in ["TXXX", "tit2", "TIT", "TIT22", "APIC", "T\0AB"] {
            assert!(Tag::default().text(id, "a").is_err(), "{id}");
        }
        assert!(Tag::default().text("TIT2", "a\0b").is_err());
        assert!(Tag::default().text("TIT2", &"a".repeat(LONGEST)).is_err());
        let mut tag = Tag::default();
        tag.text("TIT2", "a").unwrap();
        let tag = tag.finish().unwrap();
        for end in 0..tag.len() {
            assert!(check(&tag[..end]).is_err(), "{end} bytes");
        }
        assert!(check(&[&tag[..], b"more"].concat()).is_err());
        assert!(check(b"ID3\x05\0\0\0\0\0\0").is_err());
    }
}
