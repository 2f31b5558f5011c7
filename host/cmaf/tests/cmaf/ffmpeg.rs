//! Real streams out of ffmpeg, and what ffprobe says of streams.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use millrace_cmaf::{Chunk, Header, Item, Limits, ReadError, Reader, TrackHeader};
use millrace_media::fragment::TimedSample;
use millrace_media::{Media, Time};

/// A directory that is gone when this is dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("millrace-cmaf-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn run(program: &str, directory: &Path, args: &str) -> Vec<u8> {
    let output = Command::new(program)
        .current_dir(directory)
        .args(["-v", "error"])
        .args(args.split_ascii_whitespace())
        .output()
        .unwrap_or_else(|error| panic!("{program} cannot be run: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{program} {args}: {complaint}");
    output.stdout
}

const PICTURE: &str = "-f lavfi -i testsrc2=s=320x180:r=25:d=1.2";
const SOUND: &str = "-f lavfi -i sine=f=440:r=48000:d=1.2";
const X264: &str = "-c:v libx264 -preset ultrafast -tune zerolatency -g 25 -keyint_min 25 -b:v 300k";
const X264_B: &str = "-c:v libx264 -preset veryfast -bf 2 -g 25 -keyint_min 25";

/// A stream that ffmpeg wrote: a header, and what follows it.
pub(crate) struct Stream {
    pub(crate) name: &'static str,
    pub(crate) bytes: Bytes,
}

/// The forms in which ffmpeg sends CMAF, with sound and picture in one stream or each in its own.
pub(crate) fn streams() -> &'static [Stream] {
    static STREAMS: OnceLock<Vec<Stream>> = OnceLock::new();
    STREAMS.get_or_init(|| {
        let aac = "-c:a aac -b:a 96k";
        let opus = "-c:a libopus -b:a 64k";
        let endless = |name, codecs: &str, flags: &str| {
            let args = format!("{PICTURE} {SOUND} {codecs} -movflags +cmaf+{flags} -f mp4 -");
            let bytes = run("ffmpeg", &std::env::temp_dir(), &args).into();
            Stream { name, bytes }
        };
        // Fragmented, but not as CMAF asks.
        let unlike = |name, codecs: &str, flags: &str| {
            let args = format!("{PICTURE} {SOUND} {codecs} -movflags {flags} -f mp4 -");
            Stream { name, bytes: run("ffmpeg", &std::env::temp_dir(), &args).into() }
        };
        let mut streams = vec![
            endless("h264+aac, a fragment a frame", &format!("{X264} {aac}"), "frag_every_frame"),
            endless("h264+opus, a fragment a frame", &format!("{X264} {opus}"), "frag_every_frame"),
            endless("h264+aac, a fragment a GOP", &format!("{X264} {aac}"), "frag_keyframe"),
            endless("h264 with B-frames+opus, a fragment a GOP", &format!("{X264_B} {opus}"), "frag_keyframe"),
            endless("h264+aac, separate moofs", &format!("{X264_B} {aac}"), "frag_keyframe+separate_moof"),
            unlike("h264+aac, positions in the file", &format!("{X264_B} {aac}"), "empty_moov+frag_keyframe"),
            unlike("h264+aac, one traf after the other", &format!("{X264} {aac}"), "empty_moov+frag_keyframe+omit_tfhd_offset"),
            endless("h264, picture alone", &format!("-an {X264}"), "frag_every_frame"),
        ];
        let scratch = Scratch::new();
        run("ffmpeg", scratch.path(), &format!(
            "{PICTURE} {SOUND} {X264_B} {aac} -f dash -seg_duration 1 -streaming 1 -ldash 1 -frag_type every_frame \
             -use_timeline 0 -init_seg_name init-$RepresentationID$.mp4 -media_seg_name d-$RepresentationID$-$Number%03d$.m4s d.mpd"
        ));
        streams.push(joined("dash, h264 with B-frames", scratch.path(), "init-0.mp4", "d-0-"));
        streams.push(joined("dash, aac", scratch.path(), "init-1.mp4", "d-1-"));
        run("ffmpeg", scratch.path(), &format!(
            "{PICTURE} {SOUND} {X264_B} {opus} -f hls -hls_segment_type fmp4 -hls_time 1 -hls_fmp4_init_filename hls.mp4 \
             -hls_segment_filename h-%03d.m4s h.m3u8"
        ));
        streams.push(joined("hls, h264 with B-frames+opus", scratch.path(), "hls.mp4", "h-"));
        streams
    })
}

/// Smooth Streaming, with pictures that are shown before the keyframe they come after.
pub(crate) fn smooth() -> &'static Bytes {
    static STREAM: OnceLock<Bytes> = OnceLock::new();
    STREAM.get_or_init(|| {
        let picture = "-c:v libx264 -preset veryfast -x264-params open-gop=1:bframes=2:b-adapt=0:keyint=12:scenecut=0";
        let args = format!("{PICTURE} {SOUND} {picture} -c:a aac -movflags isml+frag_keyframe -f ismv -");
        run("ffmpeg", &std::env::temp_dir(), &args).into()
    })
}

pub(crate) fn stream(name: &str) -> &'static Stream {
    streams().iter().find(|stream| stream.name.starts_with(name)).unwrap()
}

fn joined(name: &'static str, directory: &Path, init: &str, prefix: &str) -> Stream {
    let mut segments: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix));
    segments.sort();
    assert!(segments.len() > 1, "{name}");
    let mut bytes = std::fs::read(directory.join(init)).unwrap();
    for segment in segments {
        bytes.extend(std::fs::read(segment).unwrap());
    }
    Stream { name, bytes: bytes.into() }
}

/// A picture in a codec of the name, without sound.
pub(crate) fn picture(codec: &str) -> Bytes {
    let args = format!("-f lavfi -i testsrc2=s=320x180:r=25:d=0.4 -movflags +cmaf+frag_keyframe -c:v {codec} -f mp4 -");
    run("ffmpeg", &std::env::temp_dir(), &args).into()
}

/// What a reader finds in a stream that comes in one piece.
pub(crate) fn read(bytes: &Bytes) -> Result<(Header, Vec<Chunk>), ReadError> {
    read_pieces([bytes.clone()])
}

pub(crate) fn read_pieces(pieces: impl IntoIterator<Item = Bytes>) -> Result<(Header, Vec<Chunk>), ReadError> {
    let mut reader = Reader::new(Limits::default());
    let mut chunks = Vec::new();
    for piece in pieces {
        reader.push(piece);
        while let Some(item) = reader.next()? {
            if let Item::Chunk(chunk) = item {
                chunks.push(chunk);
            }
        }
    }
    reader.finish()?;
    Ok((reader.header().cloned().ok_or(ReadError::MissingInit)?, chunks))
}

/// The bytes of a track as it would be served.
pub(crate) fn served<'a>(init: &Bytes, media: impl IntoIterator<Item = &'a Media>) -> Bytes {
    let mut out = init.to_vec();
    for media in media {
        out.extend_from_slice(&media.head);
        media.payload.slices().iter().for_each(|slice| out.extend_from_slice(slice));
    }
    out.into()
}

/// A packet as ffprobe sees it, in ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) pts: i64,
    pub(crate) dts: i64,
    pub(crate) size: u32,
    pub(crate) keyframe: bool,
}

/// The packets of a stream of a file, `v` or `a`, as they stand in the file or with its edit list applied.
pub(crate) fn probe(bytes: &[u8], kind: char, edited: bool) -> Vec<Seen> {
    let scratch = Scratch::new();
    std::fs::write(scratch.path().join("probed.mp4"), bytes).unwrap();
    let ignore = if edited { "" } else { "-ignore_editlist 1" };
    let args =
        format!("{ignore} -select_streams {kind} -show_entries packet=pts,dts,size,flags -of csv=p=0 probed.mp4");
    let text = String::from_utf8(run("ffprobe", scratch.path(), &args)).unwrap();
    text.lines()
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            Seen {
                pts: fields[0].parse().unwrap(),
                dts: fields[1].parse().unwrap(),
                size: fields[2].parse().unwrap(),
                keyframe: fields[3].contains('K'),
            }
        })
        .collect()
}

/// The samples of media, as ffprobe would see them: where composition offsets go below zero, it delays all pictures so that the
/// least offset is zero.
pub(crate) fn seen(media: &[Media]) -> Vec<Seen> {
    let samples: Vec<TimedSample> = media.iter().flat_map(Media::timed_samples).collect();
    let least = samples.iter().map(|timed| timed.sample.composition_offset).min().unwrap_or(0);
    let delay = i64::from(least.min(0));
    samples
        .iter()
        .map(|timed| Seen {
            pts: timed.presentation_time.ticks() - delay,
            dts: timed.decode_time.ticks(),
            size: timed.sample.size,
            keyframe: timed.sample.marks.keyframe,
        })
        .collect()
}

/// Hashes of the decoded pictures, or of the sound, of a file.
pub(crate) fn decoded(bytes: &[u8], kind: char) -> Vec<String> {
    let scratch = Scratch::new();
    std::fs::write(scratch.path().join("decoded.mp4"), bytes).unwrap();
    let args = format!("-ignore_editlist 1 -i decoded.mp4 -map 0:{kind} -vsync passthrough -f framemd5 -");
    let text = String::from_utf8(run("ffmpeg", scratch.path(), &args)).unwrap();
    let hashes = text.lines().filter(|line| !line.starts_with('#'));
    hashes.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

/// Every track of every stream, with its fragments on a timeline that begins ten seconds in.
pub(crate) fn tracks() -> Vec<(&'static str, TrackHeader, Vec<Media>)> {
    let mut found = Vec::new();
    for stream in streams() {
        let (header, chunks) = read(&stream.bytes).unwrap();
        for track in header.known() {
            let of_track = chunks.iter().filter(|chunk| chunk.track_id() == track.track_id);
            let media = of_track.map(|chunk| chunk.place(Time::from_secs(10, track.info.timescale)).unwrap()).collect();
            found.push((stream.name, track.clone(), media));
        }
    }
    found
}
