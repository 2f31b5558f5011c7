//! The ladder beside ffmpeg: the same rungs of the same film, all made in one process, by the same library where ffmpeg has it.
//!
//! ffmpeg is asked for the bitrates that ours came to, so that what is compared is what the same bits cost and how they look.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, ensure};
use millrace_codec::{EncoderLibrary, Speed, VideoCodec, VideoSettings};
use millrace_transcode::{Rendition, Sound};
use tokio::runtime::Runtime;

use crate::film::{FRAME_RATE, Film};
use crate::report::{Figure, Goal, Row};
use crate::rungs::Source;

const RUNGS: [(&str, u32, u32, u32); 3] =
    [("480p", 854, 480, 1_200_000), ("360p", 640, 360, 800_000), ("240p", 426, 240, 400_000)];

/// One encoder of ours, and what a user would have ffmpeg do instead.
struct Contest {
    ours: &'static str,
    theirs: &'static str,
    codec: VideoCodec,
    library: EncoderLibrary,
    /// ffmpeg's options, beside bitrate and distance of keyframes.
    options: &'static [&'static str],
    /// So many pictures of the film: enough for rate control to settle, few enough for the slowest.
    pictures: usize,
    /// Where the same library does the work on both sides.
    goal: Option<Goal>,
}

const CONTESTS: [Contest; 3] = [
    Contest {
        ours: "AV1 by SVT-AV1",
        theirs: "ffmpeg -c:v libsvtav1",
        codec: VideoCodec::Av1,
        library: EncoderLibrary::SvtAv1,
        options: &["-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "rc=2:pred-struct=1:lookahead=0:lp=1"],
        pictures: 8 * FRAME_RATE as usize,
        goal: Some(Goal::RatioAtMost(1.1)),
    },
    Contest {
        ours: "AV1 by rav1e",
        theirs: "ffmpeg -c:v librav1e",
        codec: VideoCodec::Av1,
        library: EncoderLibrary::Rav1e,
        options: &["-c:v", "librav1e", "-speed", "10", "-rav1e-params", "low_latency=true:rdo_lookahead_frames=1"],
        pictures: 4 * FRAME_RATE as usize,
        goal: Some(Goal::RatioAtMost(1.1)),
    },
    Contest {
        ours: "H.264 by openh264",
        theirs: "ffmpeg -c:v libx264 -preset veryfast",
        codec: VideoCodec::H264,
        library: EncoderLibrary::Auto,
        options: &["-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency"],
        pictures: 8 * FRAME_RATE as usize,
        goal: None,
    },
];

pub(crate) fn measure(film: &Film) -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut rows = Vec::new();
    for contest in &CONTESTS {
        eprintln!("  {} beside {}", contest.ours, contest.theirs);
        rows.extend(contest.hold(film, &runtime).with_context(|| contest.ours.to_owned())?);
    }
    Ok(rows)
}

impl Contest {
    fn hold(&self, film: &Film, runtime: &Runtime) -> anyhow::Result<Vec<Row>> {
        let folder = tempfile::tempdir()?;
        let source = folder.path().join("film.mp4");
        std::fs::write(&source, film.picture.file(self.pictures))?;
        let made =
            Source::read(&film.picture, self.pictures)?.make(runtime, &RUNGS.map(|rung| self.rendition(rung)))?;
        let (mut ours, mut rates) = (Vec::new(), Vec::new());
        for ((name, ..), file) in RUNGS.iter().zip(&made.files) {
            let path = folder.path().join(format!("{name}-ours.mp4"));
            std::fs::write(&path, file)?;
            rates.push(bitrate(&path, self.pictures)?);
            ours.push(path);
        }
        let theirs: Vec<_> = RUNGS.iter().map(|(name, ..)| folder.path().join(format!("{name}-theirs.mp4"))).collect();
        let cpu = self.ffmpeg(&source, &theirs, &rates)?;
        let each = |seconds: f64| Figure::new(seconds * 1e3 / self.pictures as f64, "ms");
        let mut row = Row::new(format!("{}, three rungs, CPU time a picture", self.ours), each(made.cpu.as_secs_f64()))
            .beside(self.theirs, each(cpu));
        if let Some(goal) = self.goal {
            row = row.goal(goal);
        }
        let mut rows = vec![row];
        for (((name, width, height, _), (ours, theirs)), rate) in RUNGS.iter().zip(ours.iter().zip(&theirs)).zip(rates)
        {
            let beside = bitrate(theirs, self.pictures)?;
            rows.push(
                Row::new(format!("{name}: bitrate"), Figure::new(rate / 1e3, "kb/s"))
                    .beside("ffmpeg", Figure::new(beside / 1e3, "kb/s")),
            );
            let like = |file: &Path| psnr(file, &source, *width, *height);
            rows.push(
                Row::new(format!("{name}: PSNR of luma"), Figure::new(like(ours)?, "dB"))
                    .beside("ffmpeg", Figure::new(like(theirs)?, "dB")),
            );
        }
        Ok(rows)
    }

    fn rendition(&self, (name, width, height, bitrate): (&str, u32, u32, u32)) -> Arc<Rendition> {
        let video = VideoSettings {
            bitrate: Some(bitrate),
            library: self.library,
            speed: Speed::Draft,
            ..VideoSettings::new(self.codec, width, height)
        };
        Arc::new(Rendition { name: name.into(), video, audio: Sound::Source, priority: 0 })
    }

    /// Has ffmpeg make the rungs, and gives the CPU seconds it took.
    fn ffmpeg(&self, source: &Path, outputs: &[std::path::PathBuf], rates: &[f64]) -> anyhow::Result<f64> {
        let scaled =
            RUNGS.iter().enumerate().map(|(n, (_, width, height, _))| format!("[s{n}]scale={width}:{height}[o{n}]"));
        let splits: String = (0..RUNGS.len()).map(|n| format!("[s{n}]")).collect();
        let graph = format!("[0:v]split={}{splits};{}", RUNGS.len(), scaled.collect::<Vec<_>>().join(";"));
        let mut command = Command::new("ffmpeg");
        command
            .args(["-v", "info", "-benchmark", "-nostdin", "-y", "-i"])
            .arg(source)
            .args(["-filter_complex", &graph]);
        for ((n, output), rate) in outputs.iter().enumerate().zip(rates) {
            let (map, rate) = (format!("[o{n}]"), format!("{rate:.0}"));
            command
                .args(["-map", &map])
                .args(self.options)
                .args(["-b:v", &rate, "-g", "60", "-threads", "1"])
                .arg(output);
        }
        let output = command.output().context("ffmpeg cannot be run")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ffmpeg has failed:\n{said}");
        let line = said.lines().find_map(|line| line.strip_prefix("bench: utime=")).context("ffmpeg says no time")?;
        let seconds = line.split(['=', ' ', 's']).filter_map(|word| word.parse::<f64>().ok());
        Ok(seconds.take(2).sum())
    }
}

/// Bits per second of a file's pictures.
fn bitrate(file: &Path, pictures: usize) -> anyhow::Result<f64> {
    let file = file.to_str().context("the path is text")?;
    let entries = ["-v", "error", "-select_streams", "v", "-show_entries", "packet=size", "-of", "csv=p=0", file];
    let text = millrace_tests::run("ffprobe", entries);
    let sizes: Vec<f64> = text.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect();
    ensure!(sizes.len() == pictures, "{file} has {} pictures, not {pictures}", sizes.len());
    Ok(sizes.iter().sum::<f64>() * 8.0 * f64::from(FRAME_RATE) / pictures as f64)
}

/// How like the film a rung is: of luma, in dB, beside the film at the rung's size, by a filter that neither side uses.
fn psnr(file: &Path, film: &Path, width: u32, height: u32) -> anyhow::Result<f64> {
    let graph = format!(
        "[0:v]setpts=N/{FRAME_RATE}/TB[a];[1:v]setpts=N/{FRAME_RATE}/TB,scale={width}:{height}:flags=lanczos[b];[a][b]psnr"
    );
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "info", "-nostdin", "-i"]).arg(file).arg("-i").arg(film);
    command.args(["-filter_complex", &graph, "-f", "null", "-"]);
    let output = command.output().context("ffmpeg cannot be run")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let found = said.lines().rev().find_map(|line| line.split("PSNR y:").nth(1)?.split(' ').next()?.parse().ok());
    found.with_context(|| format!("ffmpeg says no PSNR:\n{said}"))
}
