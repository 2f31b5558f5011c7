import { expect, test } from 'vitest';
import { readHeader, samplesOf, type Header } from './cmaf';

/** A box of a type, with numbers of 32 bits, bytes or other boxes in it. */
function box(type: string, ...content: (number | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  const parts = content.map((part) => {
    if (part instanceof Uint8Array) return part;
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, part | 0);
    return bytes;
  });
  const size = 8 + parts.reduce((sum, { length }) => sum + length, 0);
  const bytes = new Uint8Array(size);
  new DataView(bytes.buffer).setUint32(0, size);
  bytes.set(new TextEncoder().encode(type), 4);
  let at = 8;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function join(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function header(entry: Uint8Array, timescale = 1000): Uint8Array {
  const stbl = box('stbl', box('stsd', 0, 1, entry));
  const mdia = box('mdia', box('mdhd', 0, 0, 0, timescale, 0, 0), box('minf', stbl));
  const trex = box('trex', 0, 1, 1, 40, 3, 0x10000);
  return join(box('ftyp', 0), box('moov', box('trak', mdia), box('mvex', trex)));
}

const avc = box('avc1', new Uint8Array(78), box('avcC', new Uint8Array([1, 0x42, 0xe0])));

test('a header of video gives its timescale, its description and what samples have unless they say otherwise', () => {
  expect(readHeader(header(avc, 90_000))).toEqual({
    timescale: 90_000,
    description: new Uint8Array([1, 0x42, 0xe0]),
    defaults: { duration: 40, size: 3, flags: 0x10000 },
  });
});

test('a header of AAC gives the AudioSpecificConfig', () => {
  const specific = [5, 2, 0x11, 0x90];
  const config = [4, 0x80, 0x80, 13 + specific.length, ...new Array<number>(13).fill(0), ...specific];
  const descriptors = new Uint8Array([3, 3 + config.length, 0, 1, 0, ...config]);
  const entry = box('mp4a', new Uint8Array(28), box('esds', 0, descriptors));
  expect(readHeader(header(entry)).description).toEqual(new Uint8Array([0x11, 0x90]));
});

test('Opus needs no description', () => {
  const entry = box('Opus', new Uint8Array(28), box('dOps', new Uint8Array(11)));
  expect(readHeader(header(entry)).description).toBeNull();
});

test('what is no header is refused', () => {
  expect(() => readHeader(box('moov'))).toThrow('no track');
  expect(() => readHeader(header(avc, 0))).toThrow('timescale');
  const cut = header(avc);
  expect(() => readHeader(cut.subarray(0, cut.length - 4))).toThrow('are left');
});

const simple: Header = {
  timescale: 1000,
  description: null,
  defaults: { duration: 40, size: 3, flags: 0x10000 },
};

function chunk(tfhd: number[], trun: number[], media: number[], decode = 500): Uint8Array {
  const tfdt = box('tfdt', 0x01000000, Math.floor(decode / 2 ** 32), decode);
  return join(
    box('moof', box('mfhd', 0, 1), box('traf', box('tfhd', ...tfhd), tfdt, box('trun', ...trun))),
    box('mdat', new Uint8Array(media)),
  );
}

/** The offset from the moof's beginning to the payload of the mdat after it. */
function payloadOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer).getUint32(0) + 8;
}

test('samples take what their run does not say from the defaults, and only the first begins a group', () => {
  const draft = chunk([0x20000, 1], [0x5, 2, 0, 0x2000000], [1, 2, 3, 4, 5, 6]);
  const bytes = chunk([0x20000, 1], [0x5, 2, payloadOf(draft), 0x2000000], [1, 2, 3, 4, 5, 6]);
  expect(samplesOf(bytes, simple)).toEqual([
    { data: new Uint8Array([1, 2, 3]), time: 0.5, duration: 0.04, key: true },
    { data: new Uint8Array([4, 5, 6]), time: 0.54, duration: 0.04, key: false },
  ]);
});

test('samples have sizes, durations, flags and offsets of their own, and offsets may be negative', () => {
  const run = (offset: number) => [0xf01, 2, offset, 20, 1, 0x2000000, 60, 30, 2, 0x1010000, -10];
  const draft = chunk([0x20000, 1], run(0), [1, 2, 3]);
  const bytes = chunk([0x20000, 1], run(payloadOf(draft)), [1, 2, 3]);
  expect(samplesOf(bytes, simple)).toEqual([
    { data: new Uint8Array([1]), time: 0.56, duration: 0.02, key: true },
    { data: new Uint8Array([2, 3]), time: 0.51, duration: 0.03, key: false },
  ]);
});

test('an object may hold several chunks, whose defaults are their own', () => {
  const one = (decode: number) => {
    const draft = chunk([0x20038, 1, 10, 1, 0x2000000], [0x1, 1, 0], [7], decode);
    return chunk([0x20038, 1, 10, 1, 0x2000000], [0x1, 1, payloadOf(draft)], [7], decode);
  };
  const samples = samplesOf(join(one(0), one(10)), simple);
  expect(samples.map(({ time, key, data }) => [time, key, data[0]])).toEqual([
    [0, true, 7],
    [0.01, true, 7],
  ]);
});

test('samples beyond their chunk, and more than a chunk can have, are refused', () => {
  expect(() => samplesOf(chunk([0x20000, 1], [0x1, 2, 100], [1]), simple)).toThrow('beyond');
  expect(() => samplesOf(chunk([0x20000, 1], [0x1, 0x7fffffff, 0], [1]), simple)).toThrow(
    '2147483647 samples',
  );
});
