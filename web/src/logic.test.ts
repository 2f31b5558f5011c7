import { expect, test } from 'vitest';
import { parseBroadcasts, type Broadcast } from './api';
import { pollDelay, reopenDelay } from './backoff';
import { History } from './chart';
import { bitrate, codecName, seconds, size } from './format';
import { messageFor, type Situation } from './message';
import { pushCommand } from './overlay';
import { options } from './quality';
import { choose, hashFor, nameInHash } from './route';
import { StallMeter } from './stall';

const demo: Broadcast = {
  name: 'live/demo',
  state: 'live',
  hls: '/hls/live/demo/master.m3u8',
  startedAt: '2026-01-01T00:00:00Z',
  lowLatency: true,
  notes: [],
  tracks: [],
};

test('the list is read field by field', () => {
  const track = { name: '480p', kind: 'video', codec: 'avc1.64001f', width: 854, height: 480, bitrate: 9e5 };
  const [broadcast] = parseBroadcasts({
    broadcasts: [
      {
        name: 'live/demo',
        state: 'live',
        hls: '/hls/live/demo/master.m3u8',
        started_at: '2026-01-01T00:00:00Z',
        low_latency: true,
        notes: ['One.', 2],
        tracks: [{ ...track, rendition: '480p', made_by: 'ladder' }, { kind: 'video' }, null],
      },
    ],
  });
  expect(broadcast).toEqual({
    ...demo,
    notes: ['One.'],
    tracks: [{ ...track, rendition: '480p', madeBy: 'ladder' }],
  });
});

test('entries that cannot be played are left out, and other documents refused', () => {
  const hls = '/hls/a/master.m3u8';
  expect(
    parseBroadcasts({ broadcasts: [{ name: 'a' }, { hls }, 7, { name: 'a', hls: '//evil/x' }] }),
  ).toEqual([]);
  expect(parseBroadcasts({ broadcasts: [{ name: 'a', hls, state: 'odd' }] })[0]?.state).toBe('ended');
  expect(() => parseBroadcasts([])).toThrow('broadcasts');
  expect(() => parseBroadcasts({ broadcasts: null })).toThrow('broadcasts');
});

test('polling slows down when hidden and when failing, within bounds', () => {
  expect(pollDelay(false, 0)).toBe(2000);
  expect(pollDelay(false, 1)).toBe(2000);
  expect(pollDelay(false, 3)).toBe(8000);
  expect(pollDelay(true, 0)).toBe(15_000);
  expect(pollDelay(true, 50)).toBe(30_000);
});

test('opening again backs off to a bound', () => {
  expect([0, 1, 2, 3, 4, 5, 99].map(reopenDelay)).toEqual([500, 1000, 2000, 4000, 8000, 8000, 8000]);
});

test('an address names a broadcast and back', () => {
  for (const name of ['live/demo', 'a b/ü', '100%'] as const) expect(nameInHash(hashFor(name))).toBe(name);
  expect(hashFor('live/demo')).toBe('#live/demo');
  expect(nameInHash('#/live/demo')).toBe('live/demo');
  expect(nameInHash('#')).toBeNull();
  expect(nameInHash('#50%')).toBe('50%');
});

test('the first live broadcast is shown unless the viewer chose', () => {
  const away: Broadcast = { ...demo, name: 'away', state: 'waiting' };
  const gone: Broadcast = { ...demo, name: 'gone', state: 'ended' };
  expect(choose(null, null, false, [gone, away, demo])).toBe('live/demo');
  expect(choose(null, null, false, [gone, away])).toBe('away');
  expect(choose(null, null, false, [gone])).toBeNull();
  expect(choose('elsewhere', 'live/demo', false, [demo])).toBe('elsewhere');
  expect(choose(null, 'gone', false, [gone, demo])).toBe('gone');
  expect(choose(null, 'unlisted', true, [demo])).toBe('unlisted');
  expect(choose(null, 'unlisted', false, [demo])).toBe('live/demo');
  expect(choose(null, 'unlisted', false, [away])).toBe('unlisted');
});

test('a stall is a picture that stands still though it should move', () => {
  const meter = new StallMeter();
  expect(meter.observe(0, 1, true)).toBe(false);
  expect(meter.observe(0.1, 1, true)).toBe(false);
  expect(meter.observe(0.25, 1, true)).toBe(true);
  expect(meter.observe(0.5, 1, true)).toBe(false);
  expect(meter.standing(1.25)).toBeCloseTo(1.25);
  expect(meter.observe(1.3, 1.04, true)).toBe(false);
  expect(meter.standing(1.3)).toBe(0);
  expect(meter.count).toBe(1);
});

test('a pause or a seek is no stall', () => {
  const meter = new StallMeter();
  meter.observe(0, 1, true);
  meter.observe(5, 1, false);
  expect(meter.observe(5.1, 1, true)).toBe(false);
  expect(meter.count).toBe(0);
});

const watching: Situation = {
  name: 'live/demo',
  broadcast: demo,
  listed: true,
  reachable: true,
  phase: 'playing',
  failure: null,
};

test.each<[Partial<Situation>, string | undefined]>([
  [{}, undefined],
  [{ reachable: false }, undefined],
  [{ reachable: false, phase: 'stalled' }, 'The server cannot be reached'],
  [{ listed: false, name: null, phase: 'idle' }, 'Looking for broadcasts…'],
  [{ name: null, broadcast: undefined, phase: 'idle' }, 'Nothing is live yet'],
  [{ broadcast: undefined, phase: 'idle' }, 'live/demo is not on air'],
  [{ broadcast: undefined, phase: 'stalled' }, 'This broadcast has ended'],
  [{ broadcast: { ...demo, state: 'ended' } }, undefined],
  [{ broadcast: { ...demo, state: 'ended' }, phase: 'ended' }, 'This broadcast has ended'],
  [{ broadcast: { ...demo, state: 'waiting' }, phase: 'stalled' }, 'The publisher is away'],
  [{ phase: 'loading' }, 'Opening the stream…'],
  [{ phase: 'stalled' }, 'Buffering…'],
  [{ phase: 'retrying', failure: 'levelLoadError' }, 'The stream cannot be loaded'],
  [{ phase: 'retrying', failure: 'bufferAddCodecError' }, 'This browser cannot play the stream'],
])('%j says %s', (change, title) => {
  expect(messageFor({ ...watching, ...change })?.title).toBe(title);
});

test('the quality selector says what plays and who made it', () => {
  const level = { bitrate: 2_500_000, codecs: '' };
  const track = { kind: 'video', codec: '', bitrate: null, rendition: null };
  const entries = options(
    [
      { ...level, index: 0, name: '480p', width: 854, height: 480, track: '' },
      { ...level, index: 1, name: '720p', width: 1280, height: 720, track: '' },
    ],
    1,
    -1,
    [
      { ...track, name: 'video', width: 1280, height: 720, madeBy: null },
      { ...track, name: '480p', width: 854, height: 480, madeBy: 'ladder' },
    ],
  );
  expect(entries.map(({ text }) => text)).toEqual([
    'Auto (720p)',
    '480p · 854×480 · 2.5 Mb/s · by ladder',
    '▶ 720p · 1280×720 · 2.5 Mb/s · source',
  ]);
});

test('the quality selector names codecs where they are mixed, and tracks of one size', () => {
  const track = { kind: 'video', codec: '', bitrate: null, rendition: null, width: 1280, height: 720 };
  const level = { bitrate: 1_200_000, name: '720p', width: 1280, height: 720 };
  const entries = options(
    [
      { ...level, index: 0, codecs: 'av01.0.05M.08,opus', track: '720p' },
      { ...level, index: 1, codecs: 'avc1.64001f,mp4a.40.2', track: 'video' },
    ],
    -1,
    -1,
    [
      { ...track, name: 'video', madeBy: null },
      { ...track, name: '720p', madeBy: 'ladder' },
    ],
  );
  expect(entries.map(({ text }) => text)).toEqual([
    'Auto',
    '720p · 1280×720 · AV1 · 1.2 Mb/s · by ladder',
    '720p · 1280×720 · H.264 · 1.2 Mb/s · source',
  ]);
});

test('numbers and codecs are put in words', () => {
  expect([seconds(0.4049), seconds(null), seconds(NaN)]).toEqual(['0.40 s', '–', '–']);
  expect([bitrate(999_600), bitrate(96_000), bitrate(12e6), bitrate(0)]).toEqual([
    '1.0 Mb/s',
    '96 kb/s',
    '12 Mb/s',
    '–',
  ]);
  expect([size(1280, 720), size(null, null)]).toEqual(['1280×720', '']);
  expect(['avc1.64001f', 'mp4a.40.2', 'opus', 'xyz1.2'].map(codecName)).toEqual([
    'H.264',
    'AAC',
    'Opus',
    'xyz1.2',
  ]);
});

test('the chart keeps a minute and a round scale', () => {
  const history = new History();
  for (let at = 0; at <= 100; at++) history.add({ at, latency: 0.4, buffer: null });
  expect(history.points[0]?.at).toBe(40);
  expect(history.top()).toBe(1);
  history.add({ at: 101, latency: 3.1, buffer: 0.2 });
  expect(history.top()).toBe(4);
});

test('the command to publish names this server', () => {
  expect(pushCommand('http://host:8080')).toMatch(
    / -method PUT http:\/\/host:8080\/ingest\/live\/me\/manifest\.mpd$/,
  );
});
