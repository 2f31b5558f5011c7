//! Whether sound and picture are in step: when the film's flashes are seen, and when its beeps are heard.

use std::fs;

use crate::program::run;

/// Both in seconds, on one clock.
#[derive(Clone, Debug)]
pub struct Moments {
    /// The first picture of each flash.
    pub flashes: Vec<f64>,
    /// The first millisecond of each beep.
    pub beeps: Vec<f64>,
}

/// The first of a stream that are not looked at, in seconds: decoders may start in the middle of a flash or a beep.
const SETTLING: f64 = 0.2;

/// Decodes so many seconds of an address: the video stream of this number, and the first of sound.
pub fn moments(url: &str, video: usize, seconds: u32) -> Moments {
    decode(&["-i", url], video, seconds)
}

/// The same of a file.
pub fn moments_of_file(path: &std::path::Path, seconds: u32) -> Moments {
    decode(&["-i", path.to_str().expect("the path is text")], 0, seconds)
}

fn decode(input: &[&str], video: usize, seconds: u32) -> Moments {
    let folder = tempfile::tempdir().expect("a folder for figures");
    let (seen, heard) = (folder.path().join("seen"), folder.path().join("heard"));
    // The corner is a quarter of the picture, whatever its size; its middle is clear of blurred edges.
    let picture = format!(
        "[0:v:{video}]crop=iw/4:ih/4:iw/8:ih/8,signalstats,metadata=mode=print:key=lavfi.signalstats.YAVG:file={}[v]",
        seen.display()
    );
    // A millisecond at a time.
    let sound = format!(
        "[0:a:0]aresample=48000,asetnsamples=n=48:p=0,astats=metadata=1:reset=1:measure_perchannel=none:\
         measure_overall=Peak_level,ametadata=mode=print:key=lavfi.astats.Overall.Peak_level:file={}[a]",
        heard.display()
    );
    let length = seconds.to_string();
    let head = ["-v", "warning", "-nostdin"];
    let filter = format!("{picture};{sound}");
    let output = ["-t", &length, "-filter_complex", &filter, "-map", "[v]", "-map", "[a]", "-f", "null", "-"];
    run("ffmpeg", [&head[..], input, &output].concat());
    let read = |path| fs::read_to_string(path).expect("ffmpeg has written it");
    Moments { flashes: rises(&read(&seen), 128.0), beeps: rises(&read(&heard), -20.0) }
}

/// The times at which a printed value goes above a bound.
fn rises(printed: &str, bound: f64) -> Vec<f64> {
    let mut times = Vec::new();
    let (mut first, mut time, mut above) = (None, f64::NAN, true);
    for line in printed.lines() {
        if let Some(at) = line.split("pts_time:").nth(1) {
            time = at.trim().parse().unwrap_or(f64::NAN);
        } else if let Some((_, value)) = line.split_once('=') {
            // Silence is `-inf`.
            let now = value.trim().parse::<f64>().unwrap_or(f64::NEG_INFINITY) > bound;
            if now && !above && time - *first.get_or_insert(time) > SETTLING {
                times.push(time);
            }
            first.get_or_insert(time);
            above = now;
        }
    }
    times
}

impl Moments {
    /// By how much each beep is later than the flash next to it, in seconds.
    pub fn skews(&self) -> Vec<f64> {
        let nearest = |flash: f64| {
            let skews = self.beeps.iter().map(|beep| beep - flash);
            skews.min_by(|a, b| a.abs().total_cmp(&b.abs())).filter(|skew| skew.abs() < 0.5)
        };
        self.flashes.iter().filter_map(|flash| nearest(*flash)).collect()
    }

    /// The middle one of the [skews](Self::skews).
    ///
    /// # Panics
    /// Where fewer than three seconds were seen and heard.
    pub fn skew(&self) -> f64 {
        let mut skews = self.skews();
        assert!(skews.len() >= 3, "flashes and beeps are missing: {self:?}");
        skews.sort_by(f64::total_cmp);
        skews[skews.len() / 2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flash_is_where_the_value_rises() {
        let lines: String = (0..40)
            .map(|n| {
                format!("frame:{n} pts:{n} pts_time:{}\nk={}\n", n as f64 / 10.0, if n % 10 < 3 { 200 } else { 16 })
            })
            .collect();
        assert_eq!(rises(&lines, 128.0), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn a_beep_belongs_to_the_flash_next_to_it() {
        let moments = Moments { flashes: vec![1.0, 2.0, 3.0], beeps: vec![2.01, 3.02, 1.015] };
        assert!((moments.skew() - 0.015).abs() < 1e-9);
    }
}
