//! What publishers send: a few seconds of ffmpeg's making, in every form that it may have.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use bytes::{BufMut, Bytes, BytesMut};
use millrace_cmaf::{Chunk, Item, Limits, Reader, TrackHeader};

/// One track of a file, a sample a chunk.
pub(crate) struct Clip {
    /// `ftyp` and `moov`.
    pub(crate) init: Bytes,
    pub(crate) header: TrackHeader,
    /// The groups, each of whole chunks from a keyframe on.
    pub(crate) groups: Vec<Vec<Bytes>>,
    chunks: Vec<Chunk>,
}

/// A sample, with what is known of it.
pub(crate) struct Sample {
    pub(crate) bytes: Vec<u8>,
    pub(crate) keyframe: bool,
    /// In microseconds.
    pub(crate) presented: u64,
}

const CMAF: &str = "-movflags +cmaf+empty_moov+default_base_moof+frag_every_frame+skip_trailer -f mp4";
const PICTURES: &str = "-f lavfi -i testsrc2=size=320x180:rate=25 -t 3 -pix_fmt yuv420p -g 25 -keyint_min 25";

/// Three seconds of H.264 without B-frames, a keyframe a second.
pub(crate) fn video() -> &'static Clip {
    static CLIP: OnceLock<Clip> = OnceLock::new();
    CLIP.get_or_init(|| {
        Clip::made("h264", &format!("{PICTURES} -c:v libx264 -preset ultrafast -tune zerolatency -sc_threshold 0"))
    })
}

/// The same with two B-frames.
pub(crate) fn reordered() -> &'static Clip {
    static CLIP: OnceLock<Clip> = OnceLock::new();
    CLIP.get_or_init(|| Clip::made("b", &format!("{PICTURES} -c:v libx264 -preset veryfast -bf 2 -sc_threshold 0")))
}

/// Three seconds of AV1.
pub(crate) fn av1() -> &'static Clip {
    static CLIP: OnceLock<Clip> = OnceLock::new();
    CLIP.get_or_init(|| {
        Clip::made("av1", &format!("{PICTURES} -c:v libsvtav1 -preset 12 -svtav1-params lookahead=0:pred-struct=1"))
    })
}

/// Three seconds of sound by a codec: `aac` or `libopus`.
pub(crate) fn audio(codec: &str) -> Clip {
    Clip::made(codec, &format!("-f lavfi -i sine=frequency=440:sample_rate=48000 -t 3 -c:a {codec} -b:a 64k"))
}

impl Clip {
    fn made(name: &str, arguments: &str) -> Self {
        // Each caller has a file of its own: tests run side by side.
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = format!("{}/moq-{name}-{}-{count}.mp4", env!("CARGO_TARGET_TMPDIR"), std::process::id());
        let output = Command::new("ffmpeg")
            .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y"])
            .args(arguments.split_whitespace().chain(CMAF.split_whitespace()))
            .arg(&path)
            .stdin(Stdio::null())
            .output()
            .expect("ffmpeg is installed");
        assert!(output.status.success(), "ffmpeg {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        Self::read(&bytes)
    }

    fn read(file: &[u8]) -> Self {
        let at: Vec<_> =
            file.windows(4).enumerate().filter(|(_, four)| *four == b"moof").map(|(at, _)| at - 4).collect();
        let init = Bytes::copy_from_slice(&file[..at[0]]);
        let pieces: Vec<_> = at
            .iter()
            .zip(at[1..].iter().copied().chain([file.len()]))
            .map(|(from, to)| Bytes::copy_from_slice(&file[*from..to]))
            .collect();
        let mut reader = Reader::new(Limits::default());
        reader.push(init.clone());
        pieces.iter().for_each(|piece| reader.push(piece.clone()));
        let (mut chunks, mut header) = (Vec::new(), None);
        while let Some(item) = reader.next().unwrap() {
            match item {
                Item::Header(found) => header = found.known().next().cloned(),
                Item::Chunk(chunk) => chunks.push(chunk),
                _ => {}
            }
        }
        let header = header.unwrap();
        let is_video = header.info.format.size().is_some();
        let mut groups: Vec<Vec<Bytes>> = Vec::new();
        for (i, (chunk, piece)) in chunks.iter().zip(pieces).enumerate() {
            let starts = if is_video { chunk.marks().keyframe } else { i % 47 == 0 };
            if starts {
                groups.push(Vec::new());
            }
            groups.last_mut().unwrap().push(piece);
        }
        Self { init, header, groups, chunks }
    }

    /// The samples in decode order.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let sample = |chunk: &Chunk| Sample {
            bytes: chunk.payload().slices().concat(),
            keyframe: chunk.marks().keyframe,
            presented: u64::try_from(chunk.presentation_time().micros() + 1_000_000).unwrap(),
        };
        self.chunks.iter().map(sample).collect()
    }

    /// The bytes of all samples.
    pub(crate) fn bytes(&self) -> Vec<Vec<u8>> {
        self.samples().into_iter().map(|sample| sample.bytes).collect()
    }

    /// Groups of frames, each as `frame` makes it of a sample.
    pub(crate) fn framed(&self, frame: impl Fn(&Sample) -> Bytes) -> Vec<Vec<Bytes>> {
        let samples = self.samples();
        let mut samples = samples.iter();
        self.groups.iter().map(|group| samples.by_ref().take(group.len()).map(&frame).collect()).collect()
    }

    /// The groups with their media later by so many seconds.
    pub(crate) fn later(&self, seconds: u64) -> Vec<Vec<Bytes>> {
        let add = seconds * u64::from(self.header.info.timescale.get());
        let later = |chunk: &Bytes| {
            let at = chunk.windows(4).position(|four| four == b"tfdt").unwrap() + 4;
            assert_eq!(chunk[at], 1, "ffmpeg writes times of 64 bits");
            let time = u64::from_be_bytes(chunk[at + 4..at + 12].try_into().unwrap()) + add;
            let mut moved = BytesMut::from(&chunk[..]);
            moved[at + 4..at + 12].copy_from_slice(&time.to_be_bytes());
            moved.freeze()
        };
        self.groups.iter().map(|group| group.iter().map(later).collect()).collect()
    }
}

/// hang's first container.
pub(crate) fn legacy(sample: &Sample) -> Bytes {
    let mut out = BytesMut::new();
    // A variable-length integer of eight bytes.
    out.put_u64(sample.presented | 0xc0 << 56);
    out.extend_from_slice(&sample.bytes);
    out.freeze()
}

/// LOC.
pub(crate) fn loc(sample: &Sample) -> Bytes {
    moq_loc::encode(sample.presented, &sample.bytes).unwrap()
}

/// An access unit as a byte stream, with its parameter sets before a keyframe.
pub(crate) fn byte_stream(sample: &Sample, record: &[u8]) -> Vec<u8> {
    let start = [0, 0, 0, 1];
    let mut out = Vec::new();
    if sample.keyframe {
        let sps = usize::from(u16::from_be_bytes([record[6], record[7]]));
        let pps_at = 8 + sps + 1;
        let pps = usize::from(u16::from_be_bytes([record[pps_at], record[pps_at + 1]]));
        out.extend(
            [&start[..], &[9, 0xf0], &start, &record[8..8 + sps], &start, &record[pps_at + 2..][..pps]].concat(),
        );
    }
    let mut rest = &sample.bytes[..];
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (unit, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        out.extend([&start[..], unit].concat());
        rest = after;
    }
    out
}
