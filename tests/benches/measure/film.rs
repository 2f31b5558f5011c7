//! What is published: pictures and sound that are as large as what people send, made once for a run.

use std::ops::Range;

use anyhow::Context;
use bytes::Bytes;

/// Pictures a second.
pub(crate) const FRAME_RATE: u32 = 30;
/// Its length. Enough for a hundred parts of 200 ms, and what comes before them.
const SECONDS: u32 = 26;
/// Frames of AAC a second.
const SOUND_RATE: f64 = 48_000.0 / 1_024.0;

/// One track as CMAF: a header, and a chunk for every picture or frame of sound.
#[derive(Clone, Debug)]
pub(crate) struct Track {
    /// `ftyp` and `moov`.
    pub(crate) header: Bytes,
    /// `moof` and `mdat` each.
    pub(crate) chunks: Vec<Bytes>,
    /// Chunks a second.
    pub(crate) rate: f64,
}

/// Pictures of 1280×720 with grain, of about 2.4 Mb/s, a keyframe every two seconds, B-frames between; and sound of 192 kb/s.
#[derive(Debug)]
pub(crate) struct Film {
    pub(crate) picture: Track,
    pub(crate) sound: Track,
}

impl Film {
    /// Has ffmpeg make it.
    pub(crate) fn make() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let [picture, sound] = ["picture.mp4", "sound.mp4"].map(|name| folder.path().join(name));
        let source = format!("testsrc2=size=1280x720:rate={FRAME_RATE}:duration={SECONDS},noise=alls=6:allf=t+u");
        let noise = format!("anoisesrc=sample_rate=48000:amplitude=0.3:duration={SECONDS}");
        let input = ["-v", "error", "-nostdin", "-f", "lavfi", "-i", &source, "-f", "lavfi", "-i", &noise];
        let flags = "+cmaf+empty_moov+default_base_moof+frag_every_frame";
        let video = ["-map", "0:v", "-c:v", "libx264", "-preset", "superfast", "-pix_fmt", "yuv420p", "-g", "60"];
        let rate = ["-b:v", "2400k", "-maxrate", "2400k", "-bufsize", "1200k", "-movflags", flags];
        let audio = ["-map", "1:a", "-ac", "2", "-c:a", "aac", "-b:a", "192k", "-movflags", flags];
        let [picture_file, sound_file] = [&picture, &sound].map(|path| path.to_str().expect("the path is text"));
        millrace_tests::run("ffmpeg", [&input[..], &video, &rate, &[picture_file], &audio, &[sound_file]].concat());
        Ok(Self {
            picture: Track::read(std::fs::read(&picture)?.into(), FRAME_RATE.into())?,
            sound: Track::read(std::fs::read(&sound)?.into(), SOUND_RATE)?,
        })
    }

    /// Pictures alone, encoded as they come: none waits for another. Every sixtieth is a keyframe, and no other.
    pub(crate) fn immediate() -> anyhow::Result<Track> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("immediate.mp4");
        let source = format!("testsrc2=size=1280x720:rate={FRAME_RATE}:duration={SECONDS},noise=alls=6:allf=t+u");
        let input = ["-v", "error", "-nostdin", "-f", "lavfi", "-i", &source];
        let flags = "+cmaf+empty_moov+default_base_moof+frag_every_frame";
        let groups = ["-pix_fmt", "yuv420p", "-g", "60", "-sc_threshold", "0"];
        let video = ["-c:v", "libx264", "-preset", "superfast", "-tune", "zerolatency"];
        let rate = ["-b:v", "2400k", "-maxrate", "2400k", "-bufsize", "1200k", "-movflags", flags];
        millrace_tests::run(
            "ffmpeg",
            [&input[..], &video, &groups, &rate, &[path.to_str().expect("the path is text")]].concat(),
        );
        Track::read(std::fs::read(&path)?.into(), FRAME_RATE.into())
    }
}

impl Track {
    /// So many pictures as a file.
    pub(crate) fn file(&self, chunks: usize) -> Vec<u8> {
        let media = self.chunks.iter().take(chunks);
        std::iter::once(&self.header).chain(media).flat_map(|bytes| bytes.iter().copied()).collect()
    }

    fn read(file: Bytes, rate: f64) -> anyhow::Result<Self> {
        let boxes = boxes(&file)?;
        let is = |at: &Range<usize>, name: &[u8; 4]| &file[at.start + 4..at.start + 8] == name;
        let first = boxes.iter().position(|at| is(at, b"moof")).context("ffmpeg's file has no fragment")?;
        let header = file.slice(..boxes[first].start);
        let pairs = boxes[first..].windows(2).filter(|pair| is(&pair[0], b"moof") && is(&pair[1], b"mdat"));
        let chunks = pairs.map(|pair| file.slice(pair[0].start..pair[1].end)).collect();
        Ok(Self { header, chunks, rate })
    }
}

/// Where the boxes of a file stand.
fn boxes(file: &[u8]) -> anyhow::Result<Vec<Range<usize>>> {
    let (mut boxes, mut at) = (Vec::new(), 0);
    while at < file.len() {
        let size = file.get(at..at + 4).context("ffmpeg's file ends inside a box")?;
        let end = at + u32::from_be_bytes(size.try_into()?) as usize;
        anyhow::ensure!((at + 8..=file.len()).contains(&end), "a box at {at} of ffmpeg's file has a wrong size");
        boxes.push(at..end);
        at = end;
    }
    Ok(boxes)
}
