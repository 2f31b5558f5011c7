//! The MP4 that is written, which goes on across sessions.

use anyhow::{bail, ensure};
use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

use super::mux;
use super::timeline::Timeline;

/// A fragment of one of the tracks.
#[derive(Clone, Debug)]
pub(super) struct Fragment {
    /// The track, from 0.
    pub(super) track: usize,
    /// The number of its group.
    pub(super) group: u64,
    pub(super) bytes: Bytes,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Recording<W> {
    out: W,
    begun: Option<Begun>,
    sequence: u32,
    /// Fragments and bytes so far.
    count: watch::Sender<(u64, u64)>,
}

#[derive(Debug)]
struct Begun {
    header: Vec<u8>,
    timeline: Timeline,
}

impl<W: AsyncWrite + Unpin> Recording<W> {
    /// Nothing is written yet.
    pub(super) fn new(out: W) -> Self {
        Self { out, begun: None, sequence: 0, count: watch::Sender::new((0, 0)) }
    }

    /// Fragments so far.
    pub(super) fn written(&self) -> u64 {
        self.count.borrow().0
    }

    /// Fragments and bytes, as they are now.
    pub(super) fn counted(&self) -> watch::Receiver<(u64, u64)> {
        self.count.subscribe()
    }

    /// Writes the header of these tracks, or goes on behind the same one.
    ///
    /// # Errors
    /// Where it is another than the one that is written, one is no CMAF header, or it cannot be written.
    pub(super) async fn begin(&mut self, inits: &[Bytes]) -> anyhow::Result<()> {
        let header = mux::header(inits)?;
        match &self.begun {
            Some(begun) => ensure!(
                begun.header == header,
                "the broadcast has come back with other tracks, codecs or sizes, which cannot follow in the same MP4: begin another one"
            ),
            None => {
                let timescales: Result<Vec<_>, _> = inits.iter().map(|init| mux::timescale(init)).collect();
                self.out.write_all(&header).await?;
                self.out.flush().await?;
                self.begun = Some(Begun { header, timeline: Timeline::new(timescales?) });
            }
        }
        Ok(())
    }

    /// Writes a fragment, unless it has been written before.
    ///
    /// # Errors
    /// Where it is no CMAF fragment, or cannot be written.
    pub(super) async fn write(&mut self, fragment: &Fragment) -> anyhow::Result<()> {
        let Fragment { track, group, bytes } = fragment;
        let Some(begun) = &mut self.begun else { bail!("a fragment before the header") };
        let Some(shift) = begun.timeline.shift(*track, *group, mux::decode_time(bytes)?) else { return Ok(()) };
        let track_id = u32::try_from(track + 1)?;
        for part in mux::fragment(bytes, track_id, &mut self.sequence, shift)? {
            self.out.write_all(&part).await?;
        }
        self.out.flush().await?;
        let length = bytes.len() as u64;
        self.count.send_modify(|(fragments, bytes)| (*fragments, *bytes) = (*fragments + 1, *bytes + length));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use millrace_cmaf::{Item, Limits, Reader};

    use super::*;
    use crate::pipe::mux::tests::film;

    async fn write(recording: &mut Recording<Vec<u8>>, group: u64, fragments: &[Bytes]) {
        for bytes in fragments {
            recording.write(&Fragment { track: 0, group, bytes: bytes.clone() }).await.unwrap();
        }
    }

    #[tokio::test]
    async fn it_goes_on_where_it_was_in_another_session() {
        let film = film(3, 50);
        let mut recording = Recording::new(Vec::new());
        recording.begin(std::slice::from_ref(&film.init)).await.unwrap();
        write(&mut recording, 7, &film.fragments[..30]).await;
        // The session is lost: the group comes again, and then the server is started again.
        recording.begin(std::slice::from_ref(&film.init)).await.unwrap();
        write(&mut recording, 7, &film.fragments).await;
        write(&mut recording, 900, &film.fragments[..5]).await;
        assert_eq!(recording.written(), 55);
        let mut reader = Reader::new(Limits::default());
        reader.push(std::mem::take(&mut recording.out).into());
        assert!(matches!(reader.next().unwrap(), Some(Item::Header(_))));
        let mut times = Vec::new();
        while let Some(item) = reader.next().unwrap() {
            let Item::Chunk(chunk) = item else { panic!("one header is enough: {item:?}") };
            times.push(chunk.decode_time());
        }
        assert_eq!(times.len(), 55);
        assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
        assert!((times[50] - times[49]).to_duration().as_secs() < 3, "{times:?}");
    }

    #[tokio::test]
    async fn another_header_ends_it() {
        let film = film(3, 1);
        let mut recording = Recording::new(Vec::new());
        recording.begin(std::slice::from_ref(&film.init)).await.unwrap();
        let error = recording.begin(&[film.init.clone(), film.init]).await.unwrap_err();
        assert!(error.to_string().contains("cannot follow in the same MP4"), "{error}");
    }
}
