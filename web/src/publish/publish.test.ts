import { expect, test } from 'vitest';
import { catalogOf } from './catalog';
import { Meter } from './meter';
import { problemWithName } from './name';
import { constraintsFor, h264, type Settings } from './settings';
import { lacking, troubleWithDevices } from './trouble';
import { inContainer } from './wire';

test.each(['live/me', 'a', 'A-b_c.d~1/2', 'x'.repeat(64), '..a', `${'a/'.repeat(99)}bb`])(
  '%s can be a name',
  (name) => {
    expect(problemWithName(name)).toBeNull();
  },
);

test.each([
  ['', 'live/me'],
  ['a b', '“ ”'],
  ['live/mé', '“é”'],
  ['live/😀', '“😀”'],
  ['a?b', '“?”'],
  ['/a', 'begins'],
  ['a/', 'begins'],
  ['a//b', 'begins'],
  ['a/../b', 'dots'],
  ['.', 'dots'],
  ['x'.repeat(65), '65'],
  ['a/'.repeat(100) + 'a', '201'],
])('%j cannot be a name', (name, words) => {
  expect(problemWithName(name)).toContain(words);
});

test.each([
  [640, 360, 30, 'avc1.42e01e'],
  [1280, 720, 30, 'avc1.42e01f'],
  [1280, 720, 60, 'avc1.42e028'],
  [1920, 1080, 30, 'avc1.42e028'],
  [1920, 1080, 60, 'avc1.42e02a'],
  [3840, 2160, 60, 'avc1.42e033'],
])('%d×%d at %d a second is coded as %s', (width, height, framerate, codec) => {
  expect(h264(width, height, framerate)).toBe(codec);
});

const settings: Settings = {
  name: 'live/me',
  camera: '',
  microphone: 'none',
  height: 480,
  framerate: 25,
  bitrate: 1_000_000,
  token: '',
};

test('devices are asked for by what was chosen', () => {
  expect(constraintsFor(settings)).toEqual({
    video: { width: { ideal: 854 }, height: { ideal: 480 }, frameRate: { ideal: 25 } },
    audio: false,
  });
  const other = constraintsFor({ ...settings, camera: 'none', microphone: 'm1' });
  expect(other).toEqual({ video: false, audio: { deviceId: { exact: 'm1' }, channelCount: { ideal: 2 } } });
});

test('a browser that cannot publish is told what it lacks', () => {
  expect(lacking(() => true, true)).toBeNull();
  expect(lacking(() => true, false)).toContain('https://');
  const words = lacking((name) => name !== 'WebTransport' && name !== 'AudioEncoder', true);
  expect(words).toContain('no WebTransport and no AudioEncoder');
});

test('what went wrong with devices is said with what to do', () => {
  expect(troubleWithDevices(new DOMException('', 'NotAllowedError')).message).toContain('Allow it');
  expect(troubleWithDevices(new DOMException('', 'NotReadableError')).message).toContain('Close');
  expect(troubleWithDevices(new Error('odd')).message).toContain('odd');
});

test('a frame is its time, as a variable-length integer, and what was encoded', () => {
  expect([...inContainer(new Uint8Array([9]), 5)]).toEqual([5, 9]);
  expect([...inContainer(new Uint8Array([9]), 1_000_000)]).toEqual([0x80, 0x0f, 0x42, 0x40, 9]);
});

test('the catalog describes what there is', () => {
  const pictures = { codec: 'avc1.42e01f', width: 1280, height: 720, bitrate: 2_500_000, framerate: 30 };
  expect(catalogOf({ config: pictures }, null)).toEqual({
    video: {
      renditions: {
        video: {
          codec: 'avc1.42e01f',
          container: { kind: 'legacy' },
          codedWidth: 1280,
          codedHeight: 720,
          bitrate: 2_500_000,
          framerate: 30,
          optimizeForLatency: true,
          jitter: 34,
        },
      },
    },
  });
  const sound = { codec: 'opus', sampleRate: 48_000, numberOfChannels: 1, bitrate: 64_000 };
  expect(catalogOf(null, { config: sound })).toEqual({
    audio: { renditions: { audio: { ...sound, container: { kind: 'legacy' }, jitter: 20 } } },
  });
});

test('a rate is of the last two seconds', () => {
  const meter = new Meter();
  expect(meter.rate(0, 0)).toBeNull();
  expect(meter.rate(0.25, 10)).toBeNull();
  expect(meter.rate(1, 30)).toBe(30);
  expect(meter.rate(3, 230)).toBe(100);
});
