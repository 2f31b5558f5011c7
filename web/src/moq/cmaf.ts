/** CMAF headers and chunks (ISO/IEC 23000-19), read as far as WebCodecs needs it: one track each. */

import { boxes, find, view, type Bytes } from './boxes';

/** What a header says. */
export interface Header {
  /** Ticks a second. */
  timescale: number;
  /** What a decoder is configured with beside the codec string; `null` where it needs nothing. */
  description: Uint8Array<ArrayBuffer> | null;
  /** `trex`: what samples have where nothing else is said. */
  defaults: Defaults;
}

interface Defaults {
  duration: number;
  size: number;
  flags: number;
}

/** A picture, or a frame of sound, as coded. Times in seconds. */
export interface Sample {
  data: Bytes;
  /** When it is presented. */
  time: number;
  duration: number;
  /** Whether decoding can begin here. */
  key: boolean;
}

/** `sample_is_non_sync_sample` (ISO/IEC 14496-12, 8.8.3.1). */
const NON_SYNC = 0x10000;
/** More than a chunk ever has: a bound to what is allocated for one. */
const MOST_SAMPLES = 10_000;

/** Reads `ftyp` and `moov`. Throws where something that is needed is not there. */
export function readHeader(init: Bytes): Header {
  const trak = find(init, 'moov/trak');
  const mdhd = trak && find(trak, 'mdia/mdhd');
  const stsd = trak && find(trak, 'mdia/minf/stbl/stsd');
  if (!mdhd || !stsd) throw new Error('the CMAF header has no track');
  const timescale = view(mdhd).getUint32(mdhd[0] === 1 ? 20 : 12);
  if (timescale === 0) throw new Error('the CMAF header has a timescale of 0');
  const trex = find(init, 'moov/mvex/trex');
  const data = trex && view(trex);
  return {
    timescale,
    description: descriptionIn(stsd.subarray(8)),
    defaults: {
      duration: data?.getUint32(12) ?? 0,
      size: data?.getUint32(16) ?? 0,
      flags: data?.getUint32(20) ?? 0,
    },
  };
}

/** Fixed fields of a sample entry, before its boxes: VisualSampleEntry and AudioSampleEntry (ISO/IEC 14496-12, 12.1.3 and 12.2.3). */
const VISUAL = 78;
const AUDIO = 28;

/** The codec's own configuration, in the form that WebCodecs' registry asks for. */
function descriptionIn(entries: Bytes): Uint8Array<ArrayBuffer> | null {
  for (const { type, content } of boxes(entries)) {
    const audio = /^(mp4a|Opus|fLaC|enca)$/.test(type);
    for (const box of boxes(content.subarray(audio ? AUDIO : VISUAL))) {
      if (box.type === 'avcC' || box.type === 'hvcC') return new Uint8Array(box.content);
      if (box.type === 'esds') return audioSpecificConfig(box.content.subarray(4));
      // "fLaC", and the metadata blocks.
      if (box.type === 'dfLa') return new Uint8Array([0x66, 0x4c, 0x61, 0x43, ...box.content.subarray(4)]);
    }
  }
  // AV1 and VP9 say all in their frames; Opus' `dOps` is not the header that a decoder takes, and stereo needs none.
  return null;
}

/** DecoderSpecificInfo within the descriptors of an `esds` (ISO/IEC 14496-1, 7.2.6). */
function audioSpecificConfig(descriptors: Bytes): Uint8Array<ArrayBuffer> | null {
  const ES = 3;
  const DECODER_CONFIG = 4;
  const DECODER_SPECIFIC = 5;
  let at = 0;
  while (at < descriptors.length) {
    const tag = descriptors[at++];
    let length = 0;
    let byte = 0x80;
    while (byte & 0x80 && at < descriptors.length) {
      byte = descriptors[at++] ?? 0;
      length = length * 128 + (byte & 0x7f);
    }
    if (tag === DECODER_SPECIFIC) return new Uint8Array(descriptors.subarray(at, at + length));
    if (tag === ES) {
      const flags = descriptors[at + 2] ?? 0;
      at +=
        3 +
        (flags & 0x80 ? 2 : 0) +
        (flags & 0x40 ? 1 + (descriptors[at + 3] ?? 0) : 0) +
        (flags & 0x20 ? 2 : 0);
    } else if (tag === DECODER_CONFIG) at += 13;
    else at += length;
  }
  return null;
}

/** The samples of an object: one chunk or several. Throws where it is none. */
export function samplesOf(object: Bytes, header: Header): Sample[] {
  const samples: Sample[] = [];
  let moof: { content: Bytes; at: number } | null = null;
  for (const box of boxes(object)) {
    if (box.type === 'moof') moof = box;
    else if (box.type === 'mdat' && moof) {
      readRuns(moof, object, header, samples);
      moof = null;
    }
  }
  return samples;
}

function readRuns(
  moof: { content: Bytes; at: number },
  object: Bytes,
  header: Header,
  samples: Sample[],
): void {
  const traf = find(moof.content, 'traf');
  const tfhd = traf && find(traf, 'tfhd');
  const tfdt = traf && find(traf, 'tfdt');
  if (!traf || !tfhd || !tfdt) throw new Error('a moof has no track with a decode time');
  const defaults = fragmentDefaults(tfhd, header.defaults);
  const time = view(tfdt);
  // Before the broadcast's beginning is possible: the offset of a picture may bring it there.
  let decode = tfdt[0] === 1 ? Number(time.getBigInt64(4)) : time.getUint32(4);
  let at = 0;
  for (const { type, content } of boxes(traf)) {
    if (type !== 'trun') continue;
    const run = view(content);
    const flags = run.getUint32(0) & 0xffffff;
    const count = run.getUint32(4);
    if (samples.length + count > MOST_SAMPLES) throw new Error(`a chunk of ${count} samples`);
    let next = 8;
    const field = (): number => run.getUint32((next += 4) - 4);
    // Relative to the moof: CMAF has `default-base-is-moof`.
    if (flags & 0x1) at = moof.at + (field() | 0);
    const first = flags & 0x4 ? field() : defaults.flags;
    for (let i = 0; i < count; i++) {
      const duration = flags & 0x100 ? field() : defaults.duration;
      const size = flags & 0x200 ? field() : defaults.size;
      const own = flags & 0x400 ? field() : i === 0 ? first : defaults.flags;
      const offset = flags & 0x800 ? field() | 0 : 0;
      if (at + size > object.length) throw new Error('a sample lies beyond its chunk');
      samples.push({
        data: object.subarray(at, at + size),
        time: (decode + offset) / header.timescale,
        duration: duration / header.timescale,
        key: (own & NON_SYNC) === 0,
      });
      at += size;
      decode += duration;
    }
  }
}

/** What `tfhd` says in place of `trex` (ISO/IEC 14496-12, 8.8.7). */
function fragmentDefaults(tfhd: Bytes, { duration, size, flags }: Defaults): Defaults {
  const data = view(tfhd);
  const has = data.getUint32(0);
  let at = 8 + (has & 0x1 ? 8 : 0) + (has & 0x2 ? 4 : 0);
  const field = (there: number, otherwise: number): number => {
    if (!(has & there)) return otherwise;
    at += 4;
    return data.getUint32(at - 4);
  };
  return { duration: field(0x8, duration), size: field(0x10, size), flags: field(0x20, flags) };
}
