//! What is pushed: a film whose seconds can be seen and heard.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::program::run;

/// Pictures a second.
const FRAME_RATE: u32 = 30;

/// Ten seconds of a moving picture. On each full second a white field flashes in a corner that is black otherwise, and beside it begins a
/// beep.
#[derive(Debug)]
pub struct Film {
    path: PathBuf,
    _folder: TempDir,
}

impl Film {
    /// Has ffmpeg make one of 640×360.
    pub fn new() -> Self {
        Self::sized(640, 360)
    }

    /// Has ffmpeg make one of this size, in pixels.
    pub fn sized(width: u32, height: u32) -> Self {
        Self::of(&format!(
            "testsrc2=size={width}x{height}:rate={FRAME_RATE}:duration=10,\
             drawbox=x=0:y=0:w=iw/2:h=ih/2:color=black:t=fill,\
             drawbox=x=0:y=0:w=iw/2:h=ih/2:color=white:t=fill:enable='lt(mod(n,{FRAME_RATE}),3)'"
        ))
    }

    /// Has ffmpeg make one in which nothing moves, of this size in pixels: an encoder needs next to nothing for it.
    pub fn still(width: u32, height: u32) -> Self {
        Self::of(&format!("smptebars=size={width}x{height}:rate={FRAME_RATE}:duration=10"))
    }

    /// With the video of a filter graph of ffmpeg's.
    fn of(video: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the film");
        // QuickTime: its times are exact, and its sound begins where it begins.
        let path = folder.path().join("film.mov");
        let sound = "aevalsrc='if(lt(mod(t,1),0.1),0.5*sin(2*PI*1000*t),0)':sample_rate=48000:duration=10";
        let file = path.to_str().expect("the path is text");
        let input = ["-v", "warning", "-nostdin", "-f", "lavfi", "-i", video, "-f", "lavfi", "-i", sound];
        let codecs =
            ["-c:v", "libx264", "-preset", "ultrafast", "-qp", "16", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le"];
        run("ffmpeg", [&input[..], &codecs, &[file]].concat());
        Self { path, _folder: folder }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Default for Film {
    fn default() -> Self {
        Self::new()
    }
}

/// A CMAF header, and a second of media that goes with it: a small picture in this codec, as ffmpeg calls its encoder.
pub fn header_and_second(encoder: &str) -> (Vec<u8>, Vec<u8>) {
    let folder = tempfile::tempdir().expect("a folder for a file");
    let path = folder.path().join("second.mp4");
    let flags = "+cmaf+empty_moov+default_base_moof+frag_keyframe";
    let input = ["-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=25", "-t", "1"];
    let output = ["-c:v", encoder, "-pix_fmt", "yuv420p", "-g", "25", "-movflags", flags];
    run("ffmpeg", [&input[..], &output, &[path.to_str().expect("the path is text")]].concat());
    let file = std::fs::read(path).expect("ffmpeg has written it");
    let at = file.windows(4).position(|name| name == b"moof").expect("it is fragmented") - 4;
    (file[..at].to_vec(), file[at..].to_vec())
}
