//! Scaling real pictures, held against ffmpeg's scaler.

mod common;

use common::{ffmpeg, pan, pictures, psnr, split};
use millrace_codec::{Picture, Plane, Scaler, Size};
use millrace_media::time::Time;

#[test]
fn pictures_are_those_of_ffmpegs_scaler() {
    let from = Size::new(640, 360).unwrap();
    let source = pictures(&pan(640, 360, "25"), from, 25, 3);
    let file = tempfile::NamedTempFile::new().unwrap();
    let raw: Vec<u8> = source.iter().flat_map(|picture| picture.as_i420().iter().copied()).collect();
    std::fs::write(file.path(), raw).unwrap();
    let input = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "640x360", "-i", file.path().to_str().unwrap()];
    for (width, height) in [(320, 180), (426, 240), (214, 120), (960, 540), (322, 182)] {
        let size = Size::new(width, height).unwrap();
        let scale = format!("scale={width}:{height}:flags=bicubic+accurate_rnd");
        let theirs = ffmpeg(&[&input[..], &["-vf", &scale, "-f", "rawvideo", "-"]].concat());
        let mut scaler = Scaler::new(size);
        let ours: Vec<Picture> = source.iter().map(|picture| scaler.scale(picture).unwrap()).collect();
        assert!(ours.iter().zip(&source).all(|(ours, source)| ours.time() == source.time() && ours.size() == size));
        let theirs: Vec<Picture> = split(&theirs, size).collect();
        let alike = psnr(ours.iter().zip(&theirs));
        assert!(alike > 40.0, "{size}: {alike:.1} dB (expected > 40)");
        for plane in [Plane::U, Plane::V] {
            let mean = |picture: &Picture| {
                let plane = picture.plane(plane);
                plane.iter().map(|&sample| f64::from(sample)).sum::<f64>() / plane.len() as f64
            };
            assert!((mean(&ours[1]) - mean(&theirs[1])).abs() < 1.0, "{size} {plane:?}");
        }
    }
}

#[test]
fn a_flat_picture_stays_flat_and_a_picture_of_the_right_size_is_shared() {
    let from = Size::new(642, 362).unwrap();
    let picture = Picture::from_i420(from, Time::from_millis(40), vec![77; from.bytes()]).unwrap();
    let to = Size::new(16, 8192).unwrap();
    let scaled = Scaler::new(to).scale(&picture).unwrap();
    assert!(scaled.as_i420().iter().all(|&sample| sample == 77));
    let same = Scaler::new(from).scale(&picture).unwrap();
    assert_eq!(same.as_i420().as_ptr(), picture.as_i420().as_ptr());
}
