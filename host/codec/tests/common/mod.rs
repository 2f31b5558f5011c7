//! Real pictures from ffmpeg, coded and raw, and how alike two pictures are.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::Path;
use std::process::Command;

use millrace_codec::{DecodeError, DecodeLimits, Picture, Plane, Size, Unlimited, VideoDecoder, open_video_decoder};
use millrace_media::time::{Time, Timescale};

pub(crate) const SCALE: u32 = 90_000;

/// A lavfi source like a camera's: a pan over a rich still of twice the size, with noise that never rests.
pub(crate) fn pan(width: u32, height: u32, rate: &str) -> String {
    let still = format!("mandelbrot=size={width}x{height}:start_scale=0.02:rate={rate},trim=end_frame=1");
    let camera = format!("crop={width}:{height}:x='{width}/2+{width}/3*sin(n/25)':y='{height}/2+{height}/3*cos(n/40)'");
    format!(
        "{still},scale={}:{},loop=loop=-1:size=1,setpts=N/({rate})/TB,{camera},noise=alls=2:allf=t,format=yuv420p",
        width * 2,
        height * 2,
    )
}

/// Runs a tool to its end and gives what it printed.
pub(crate) fn run(tool: &str, args: &[&str]) -> Vec<u8> {
    let output = Command::new(tool).args(args).output().unwrap_or_else(|e| panic!("{tool} must be installed: {e}"));
    assert!(output.status.success(), "{tool} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

pub(crate) fn ffmpeg(args: &[&str]) -> Vec<u8> {
    run("ffmpeg", &[&["-nostdin", "-loglevel", "error", "-y"], args].concat())
}

/// Raw pictures of a lavfi source, at `rate` pictures per second.
pub(crate) fn pictures(lavfi: &str, size: Size, rate: u32, count: usize) -> Vec<Picture> {
    let count = count.to_string();
    let raw = ffmpeg(&["-f", "lavfi", "-i", lavfi, "-frames:v", &count, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]);
    let scale = Timescale::new(SCALE).unwrap();
    split(&raw, size).enumerate().map(|(i, p)| p.at(Time::new(i as i64 * i64::from(SCALE / rate), scale))).collect()
}

/// Raw bytes as pictures, all at time zero.
pub(crate) fn split(raw: &[u8], size: Size) -> impl Iterator<Item = Picture> {
    assert!(!raw.is_empty() && raw.len().is_multiple_of(size.bytes()));
    raw.chunks(size.bytes()).map(move |raw| Picture::from_i420(size, Time::from_millis(0), raw.to_vec()).unwrap())
}

/// A sample of a track as it stands in a file.
#[derive(Clone)]
pub(crate) struct Sample {
    pub data: Vec<u8>,
    pub time: Time,
    pub keyframe: bool,
}

/// A coded clip, and what ffmpeg decodes from it.
pub(crate) struct Clip {
    pub config: Vec<u8>,
    /// In decoding order.
    pub samples: Vec<Sample>,
    /// In presentation order.
    pub pictures: Vec<Picture>,
}

impl Clip {
    /// Codes a source with x264, as ffmpeg's `args` say.
    pub(crate) fn x264(lavfi: &str, size: Size, frames: usize, args: &[&str]) -> Self {
        Self::coded("libx264", lavfi, size, frames, args)
    }

    /// Codes a source with one of ffmpeg's encoders. A `-pix_fmt` in `args` takes the place of 8-bit 4:2:0.
    pub(crate) fn coded(encoder: &str, lavfi: &str, size: Size, frames: usize, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clip.mp4");
        let (file, count, scale) = (path.to_str().unwrap(), frames.to_string(), SCALE.to_string());
        let input = ["-f", "lavfi", "-i", lavfi, "-frames:v", &count, "-c:v", encoder, "-pix_fmt", "yuv420p"];
        ffmpeg(&[&input[..], &["-video_track_timescale", &scale], args, &[file]].concat());
        Self::read(&path, size)
    }

    fn read(path: &Path, size: Size) -> Self {
        let file = std::fs::read(path).unwrap();
        let names: [&[u8]; 3] = [b"avcC", b"hvcC", b"av1C"];
        let box_at = file.windows(4).position(|name| names.contains(&name)).unwrap();
        let length = u32::from_be_bytes(file[box_at - 4..box_at].try_into().unwrap()) as usize;
        let config = file[box_at + 4..box_at - 4 + length].to_vec();

        let path = path.to_str().unwrap();
        let entries = "packet=pts,size,pos,flags";
        let listed = run("ffprobe", &["-v", "error", "-show_entries", entries, "-of", "csv=p=0", path]);
        let samples: Vec<Sample> = String::from_utf8(listed)
            .unwrap()
            .lines()
            .map(|line| {
                let fields: Vec<&str> = line.split(',').collect();
                let (pts, size, pos): (i64, usize, usize) =
                    (fields[0].parse().unwrap(), fields[1].parse().unwrap(), fields[2].parse().unwrap());
                let time = Time::new(pts, Timescale::new(SCALE).unwrap());
                Sample { data: file[pos..pos + size].to_vec(), time, keyframe: fields[3].starts_with('K') }
            })
            .collect();

        let mut times: Vec<Time> = samples.iter().map(|sample| sample.time).collect();
        times.sort();
        let is_420 = ["-i", path, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"];
        let raw = ffmpeg(&is_420);
        let pictures: Vec<Picture> = split(&raw, size).zip(&times).map(|(picture, &time)| picture.at(time)).collect();
        assert_eq!(pictures.len(), times.len());
        Self { config, samples, pictures }
    }
}

/// A decoder within the default limits.
pub(crate) fn open(codec: &str, config: &[u8]) -> Result<Box<dyn VideoDecoder>, DecodeError> {
    open_video_decoder(codec, config, DecodeLimits::default())
}

/// Decodes samples to the end; the errors stand beside the pictures.
pub(crate) fn decode_all(decoder: &mut dyn VideoDecoder, samples: &[Sample]) -> (Vec<Picture>, Vec<DecodeError>) {
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    for sample in samples {
        errors.extend(decoder.decode(&sample.data, sample.time, &mut Unlimited, &mut out).err());
    }
    decoder.flush(&mut out).unwrap();
    (out, errors)
}

/// The times of pictures.
pub(crate) fn times(pictures: &[Picture]) -> Vec<Time> {
    pictures.iter().map(Picture::time).collect()
}

/// Asserts that pictures are the same, bit for bit, at the same times.
pub(crate) fn assert_same(decoded: &[Picture], expected: &[Picture], what: &str) {
    assert_eq!(times(decoded), times(expected), "{what}");
    for (decoded, expected) in decoded.iter().zip(expected) {
        assert_eq!(decoded.time().scale(), expected.time().scale(), "{what}");
        let alike = || psnr([(decoded, expected)]);
        assert!(
            decoded.as_i420() == expected.as_i420(),
            "{what}: picture at {} differs from ffmpeg's, {:.1} dB",
            decoded.time(),
            alike()
        );
    }
}

/// Numbers that look random and are the same in every run (xorshift).
pub(crate) struct Noise(pub u64);

impl Noise {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end
    }
}

/// Peak signal-to-noise ratio of the luma of pictures taken as one, in dB.
pub(crate) fn psnr<'a>(pairs: impl IntoIterator<Item = (&'a Picture, &'a Picture)>) -> f64 {
    let (mut squares, mut samples) = (0_u64, 0_u64);
    for (a, b) in pairs {
        let (a, b) = (a.plane(Plane::Y), b.plane(Plane::Y));
        assert_eq!(a.len(), b.len());
        squares += a.iter().zip(b).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum::<u64>();
        samples += a.len() as u64;
    }
    assert!(samples > 0);
    10.0 * (255.0 * 255.0 * samples as f64 / squares.max(1) as f64).log10()
}
