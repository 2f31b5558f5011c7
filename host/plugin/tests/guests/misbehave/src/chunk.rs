//! A CMAF chunk of one sample, written by hand.

fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = (8 + body.len() as u32).to_be_bytes().to_vec();
    bytes.extend(kind);
    bytes.extend(body);
    bytes
}

/// `moof` and `mdat` of track 1 (ISO/IEC 14496-12, 8.8.4).
pub fn chunk(decode_time: u64, duration: u32, keyframe: bool, data: &[u8]) -> Vec<u8> {
    let mfhd = boxed(b"mfhd", &[0, 0, 0, 0, 0, 0, 0, 1]);
    // The sample data is relative to `moof`.
    let tfhd = boxed(b"tfhd", &[0, 2, 0, 0, 0, 0, 0, 1]);
    let mut tfdt = vec![1, 0, 0, 0];
    tfdt.extend(decode_time.to_be_bytes());
    let tfdt = boxed(b"tfdt", &tfdt);
    let trun_len = 8 + 4 + 4 + 4 + 12;
    let moof_len = 8 + mfhd.len() + 8 + tfhd.len() + tfdt.len() + trun_len;
    // Data offset, and each sample's duration, size and flags.
    let mut trun = vec![0, 0, 0x07, 0x01, 0, 0, 0, 1];
    trun.extend((moof_len as u32 + 8).to_be_bytes());
    trun.extend(duration.to_be_bytes());
    trun.extend((data.len() as u32).to_be_bytes());
    trun.extend(if keyframe { 0x0200_0000u32 } else { 0x0101_0000 }.to_be_bytes());
    let traf = boxed(b"traf", &[tfhd, tfdt, boxed(b"trun", &trun)].concat());
    let mut chunk = boxed(b"moof", &[mfhd, traf].concat());
    chunk.extend(boxed(b"mdat", data));
    chunk
}
