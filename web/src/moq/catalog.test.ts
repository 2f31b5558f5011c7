import { expect, test } from 'vitest';
import { merge, parseCatalog } from './catalog';

const cmaf = { kind: 'cmaf', init: 'AAAA' };

test('renditions come low to high, and those that cannot be played are left out', () => {
  const catalog = parseCatalog({
    video: {
      renditions: {
        source: { codec: 'avc1.64001f', container: cmaf, codedWidth: 1280, codedHeight: 720, bitrate: 3e6 },
        '240p': { codec: 'avc1.42c00d', container: cmaf, codedWidth: 426, codedHeight: 240 },
        raw: { codec: 'avc1.42c00d', container: { kind: 'legacy' } },
        odd: { codec: 7, container: cmaf },
      },
    },
    audio: {
      renditions: {
        sound: { codec: 'mp4a.40.2', container: cmaf, sampleRate: 48_000, numberOfChannels: 2 },
        silent: { codec: 'mp4a.40.2', container: cmaf },
      },
    },
  });
  expect(catalog.pictures).toEqual([
    { name: '240p', codec: 'avc1.42c00d', init: 'AAAA', width: 426, height: 240, bitrate: 0 },
    { name: 'source', codec: 'avc1.64001f', init: 'AAAA', width: 1280, height: 720, bitrate: 3e6 },
  ]);
  expect(catalog.sounds).toEqual([
    { name: 'sound', codec: 'mp4a.40.2', init: 'AAAA', sampleRate: 48_000, channels: 2, bitrate: 0 },
  ]);
  expect(catalog.clock).toBeNull();
});

test('what is no catalog offers nothing', () => {
  for (const document of [null, 7, [], {}, { video: { renditions: [] } }])
    expect(parseCatalog(document)).toEqual({ pictures: [], sounds: [], clock: null });
});

test('the clock counts from 2020', () => {
  expect(parseCatalog({ clock: { wall: 1000, timescale: 1000 } }).clock).toBe(Date.UTC(2020) / 1000 + 1);
  expect(parseCatalog({ clock: { wall: 2_000_000 } }).clock).toBe(Date.UTC(2020) / 1000 + 2);
});

test('a patch changes, adds and takes away', () => {
  const before = { a: { b: 1, c: 2 }, d: 3 };
  expect(merge(before, { a: { b: null, e: [4] }, f: 5 })).toEqual({ a: { c: 2, e: [4] }, d: 3, f: 5 });
  expect(merge(before, 7)).toBe(7);
  expect(merge(7, { a: 1 })).toEqual({ a: 1 });
  expect(before).toEqual({ a: { b: 1, c: 2 }, d: 3 });
});
