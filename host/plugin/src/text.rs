//! What guests write, made fit for a log line.

/// The longest text of a guest that is passed on, in bytes.
pub(crate) const MAX_TEXT: usize = 1024;

/// The text on one line, without control characters, and cut at [`MAX_TEXT`].
pub(crate) fn tidy(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut tidy: String = text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if end < text.len() {
        tidy.push('…');
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let cut = tidy(&"ä".repeat(MAX_TEXT));
        assert_eq!(cut.chars().count(), MAX_TEXT / 2 + 1);
        assert!(cut.ends_with("ä…"));
        assert_eq!(tidy(&"a".repeat(MAX_TEXT)).len(), MAX_TEXT);
    }

    #[test]
    fn one_message_is_one_line() {
        assert_eq!(tidy("a\nb\u{1b}[31mc"), "a b [31mc");
    }
}
