//! Sending what is in a file as if it were live.

use std::time::Duration;

use bytes::Bytes;
use millrace_cmaf::{Item, Limits, ReadError, Reader};
use millrace_media::Time;

/// When bytes of a file are due, by the media in them.
#[derive(Debug)]
pub(super) struct Pace {
    reader: Reader,
    first: Option<Time>,
    due: Duration,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { reader: Reader::new(Limits::default()), first: None, due: Duration::ZERO }
    }

    /// How long after the first the next bytes are due: when the latest fragment that they bring to its end is to be decoded.
    ///
    /// # Errors
    /// Where the file is not fragmented MP4.
    pub(super) fn due(&mut self, bytes: Bytes) -> Result<Duration, ReadError> {
        self.reader.push(bytes);
        while let Some(item) = self.reader.next()? {
            if let Item::Chunk(chunk) = item {
                let time = chunk.decode_time();
                let first = *self.first.get_or_insert(time);
                self.due = self.due.max((time - first).to_duration());
            }
        }
        Ok(self.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::mux::tests::film;

    #[test]
    fn bytes_are_due_when_their_fragments_are() {
        let mut pace = Pace::new();
        let film = film(1, 4);
        assert_eq!(pace.due(film.init).unwrap(), Duration::ZERO);
        let due: Vec<_> = film.fragments.into_iter().map(|fragment| pace.due(fragment).unwrap().as_millis()).collect();
        assert_eq!(due, [0, 40, 80, 120]);
    }

    #[test]
    fn half_a_fragment_is_due_with_the_one_before() {
        let mut pace = Pace::new();
        let film = film(1, 2);
        pace.due(film.init).unwrap();
        pace.due(film.fragments[0].clone()).unwrap();
        let (front, rest) = film.fragments[1].split_at(film.fragments[1].len() - 1);
        assert_eq!(pace.due(Bytes::copy_from_slice(front)).unwrap(), Duration::ZERO);
        assert_eq!(pace.due(Bytes::copy_from_slice(rest)).unwrap(), Duration::from_millis(40));
    }
}
