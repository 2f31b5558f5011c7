//! Sound from ffmpeg, decoded here and by ffmpeg; and what is no sound.

use std::process::Command;

use millrace_codec::audio::{AudioDecodeError, AudioDecoder, open_audio_decoder};
use millrace_media::time::{Time, Timescale};

fn run(tool: &str, args: &[&str]) -> Vec<u8> {
    let output = Command::new(tool).args(args).output().unwrap_or_else(|e| panic!("{tool} must be installed: {e}"));
    assert!(output.status.success(), "{tool} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A tone that rises and a lower one beside it, so that every band and both sides have something to say.
const TONES: &str = "0.4*sin(2*PI*(300+2000*t)*t)|0.3*sin(2*PI*200*t)";

struct Clip {
    codec: &'static str,
    config: Vec<u8>,
    rate: u32,
    channels: u8,
    packets: Vec<Vec<u8>>,
    /// Interleaved, as ffmpeg decodes the packets, with none left out.
    samples: Vec<f32>,
}

impl Clip {
    /// A second and a half of sound.
    fn new(encoder: &str, rate: u32, channels: u8) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clip.mp4");
        let path = path.to_str().unwrap();
        let tones = if channels == 1 { TONES.split('|').next().unwrap() } else { TONES };
        let input = format!("aevalsrc={tones}:s={rate}:d=1.5");
        // Noise that a decoder makes up itself would be another in each.
        let pns: &[&str] = if encoder == "aac" { &["-aac_pns", "0"] } else { &[] };
        let quiet = ["-nostdin", "-loglevel", "error", "-y"];
        run(
            "ffmpeg",
            &[&quiet[..], &["-f", "lavfi", "-i", &input, "-c:a", encoder], pns, &["-b:a", "128k", path]].concat(),
        );
        let file = std::fs::read(path).unwrap();
        let listed = run("ffprobe", &["-v", "error", "-show_entries", "packet=size,pos", "-of", "csv=p=0", path]);
        let listed = String::from_utf8(listed).unwrap();
        let packets = listed.lines().filter(|line| !line.is_empty()).map(|line| {
            let numbers: Vec<usize> = line.split(',').take(2).map(|number| number.parse().unwrap()).collect();
            file[numbers[1]..][..numbers[0]].to_vec()
        });
        // Neither form has an edit list or a number of samples to be dropped that ffmpeg would heed.
        let (codec, bare) = if encoder == "aac" { ("mp4a.40.2", "adts") } else { ("opus", "mp4") };
        let copy = dir.path().join("bare");
        let copy = copy.to_str().unwrap();
        run("ffmpeg", &[&quiet[..], &["-i", path, "-c", "copy", "-use_editlist", "0", "-f", bare, copy]].concat());
        let decode = ["-flags2", "+skip_manual", "-i", copy, "-f", "f32le", "-"];
        let raw = run("ffmpeg", &[&quiet[..], &decode].concat());
        let samples = raw.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
        Self { codec, config: config(&file, encoder), rate, channels, packets: packets.collect(), samples }
    }

    fn decoder(&self) -> Box<dyn AudioDecoder> {
        let decoder = open_audio_decoder(self.codec, &self.config).unwrap();
        assert_eq!((decoder.sample_rate(), decoder.channels()), (self.rate, self.channels));
        decoder
    }

    fn at(&self, index: usize) -> Time {
        Time::new(index as i64 * 1024, Timescale::new(self.rate).unwrap())
    }
}

/// The codec's configuration out of a file.
fn config(file: &[u8], encoder: &str) -> Vec<u8> {
    let body = |name: &[u8]| {
        let at = file.windows(4).position(|window| window == name).unwrap();
        let length = u32::from_be_bytes(file[at - 4..at].try_into().unwrap()) as usize;
        &file[at + 4..at - 4 + length]
    };
    if encoder != "aac" {
        return body(b"dOps").to_vec();
    }
    // DecoderSpecificInfo, its length in four bytes as ffmpeg writes it.
    let esds = body(b"esds");
    let at = esds.windows(4).position(|window| window == [5, 0x80, 0x80, 0x80]).unwrap();
    esds[at + 5..][..usize::from(esds[at + 4])].to_vec()
}

/// Where two signals differ, as a part of the louder: 0 where they are the same.
fn difference(ours: &[f32], theirs: &[f32]) -> f32 {
    let (mut error, mut strength) = (0.0, 0.0);
    for (a, b) in ours.iter().zip(theirs) {
        error += (a - b).powi(2);
        strength += b.powi(2);
    }
    assert!(strength > 0.0);
    (error / strength).sqrt()
}

#[test]
fn sound_is_decoded_as_ffmpeg_decodes_it() {
    for (encoder, rate, channels) in
        [("aac", 44_100, 2), ("aac", 48_000, 1), ("aac", 48_000, 2), ("aac", 22_050, 1), ("libopus", 48_000, 2)]
    {
        let clip = Clip::new(encoder, rate, channels);
        let mut decoder = clip.decoder();
        let mut samples = Vec::new();
        for (index, packet) in clip.packets.iter().enumerate() {
            decoder.decode(packet, clip.at(index), &mut samples).unwrap();
        }
        let what = format!("{encoder} {rate} {channels}");
        assert!(samples.len() >= rate as usize * 3 / 2 * usize::from(channels), "{what}: {}", samples.len());
        assert!(samples.len().abs_diff(clip.samples.len()) <= 1024 * 2, "{what}: {}", clip.samples.len());
        let difference = difference(&samples, &clip.samples);
        assert!(difference < 0.001, "{what}: {difference}");
    }
}

#[test]
fn a_damaged_packet_is_one_packet_lost() {
    for encoder in ["aac", "libopus"] {
        let clip = Clip::new(encoder, 48_000, 2);
        let (mut clean, mut hurt) = (clip.decoder(), clip.decoder());
        let garbage: Vec<u8> = (0..200_u8).map(|byte| byte.wrapping_mul(151) ^ 0xa5).collect();
        for (index, packet) in clip.packets.iter().enumerate() {
            let (mut expected, mut found) = (Vec::new(), Vec::new());
            clean.decode(packet, clip.at(index), &mut expected).unwrap();
            for bad in [&[][..], &garbage, &packet[..packet.len() / 3]].iter().filter(|_| index == 20) {
                let before = found.len();
                if let Err(error) = hurt.decode(bad, clip.at(index), &mut found) {
                    assert!(matches!(error, AudioDecodeError::Damaged { .. }), "{error}");
                    assert_eq!(found.len(), before);
                }
            }
            assert!(hurt.decode(&[], clip.at(index), &mut found).is_err());
            found.clear();
            hurt.decode(packet, clip.at(index), &mut found).unwrap();
            assert_eq!(found.len(), expected.len());
            // What is decoded leans on the packet before; Opus on several.
            if !(20..30).contains(&index) {
                assert!(difference(&found, &expected) < 0.01, "{encoder} {index}");
            }
        }
    }
}

#[test]
fn no_packet_is_too_strange() {
    for encoder in ["aac", "libopus"] {
        let clip = Clip::new(encoder, 48_000, 2);
        let mut decoder = clip.decoder();
        let (mut random, mut samples) = (1_u64, Vec::new());
        let mut next = |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % below
        };
        for round in 0..4_000 {
            let mut packet = clip.packets[round % clip.packets.len()].clone();
            for _ in 0..1 + next(6) {
                let at = next(packet.len());
                packet[at] = next(256) as u8;
            }
            packet.truncate(1 + next(packet.len() * 2));
            samples.clear();
            if decoder.decode(&packet, clip.at(round), &mut samples).is_ok() {
                assert!(samples.len() % 2 == 0 && samples.len() <= 2 * 5_760);
                assert!(samples.iter().all(|sample| (-1.0..=1.0).contains(sample)));
            }
        }
        samples.clear();
        decoder.decode(&clip.packets[5], clip.at(5), &mut samples).unwrap();
        assert!(!samples.is_empty());
    }
}

#[test]
fn what_is_not_decoded_is_refused_with_what_is() {
    let refused = |codec: &str, config: &[u8]| open_audio_decoder(codec, config).err().unwrap().to_string();
    let supported = "there are decoders for AAC-LC (mp4a.40.2) and Opus, of one or two channels";
    assert_eq!(refused("ac-3", &[]), format!("cannot decode codec \"ac-3\"; {supported}"));
    assert_eq!(
        refused("mp4a.40.5", &[0x2b, 0x92, 0x08, 0x00]),
        format!("cannot decode HE-AAC (AAC with spectral band replication); {supported}")
    );
    assert_eq!(refused("opus", &[0]), "invalid decoder configuration: dOps of 1 bytes (expected at least 11)");
}
