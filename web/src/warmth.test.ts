import { expect, test } from 'vitest';
import { addressAt, reaches, Warmth } from './warmth';

const head = '#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-MAP:URI="1/init-0.mp4"\n';
const segment = (number: number, gap = false) =>
  `${gap ? '#EXT-X-GAP\n' : ''}#EXTINF:2.0,\n1/${number}.m4s\n`;
const part = (name: string, gap = false) =>
  `#EXT-X-PART:DURATION=0.2,URI="1/${name}.m4s"${gap ? ',GAP=YES' : ''}\n`;

test('a playlist that goes on reaches what plays', () => {
  expect(reaches(head + segment(7) + segment(8), 8)).toBe(true);
  expect(reaches(head + segment(7) + segment(8) + part('9.0'), 9)).toBe(true);
  expect(reaches(head + segment(7) + segment(8), 9)).toBe(false);
});

test('absent media is not reached', () => {
  expect(reaches(head + segment(7) + segment(8, true), 8)).toBe(false);
  expect(reaches(head + segment(7) + part('8.0', true), 8)).toBe(false);
  expect(reaches(head + segment(7, true) + part('8.0', true) + part('8.1'), 8)).toBe(true);
  expect(reaches('not found', 0)).toBe(false);
});

test('a level is asked for what plays now', () => {
  const uri = 'http://host/480p/playlist.m3u8?token=1';
  expect(addressAt(uri, { segment: 9, part: 3 })).toBe(`${uri}&_HLS_msn=9&_HLS_part=3`);
  expect(addressAt(uri, { segment: 9, part: -1 })).toBe(`${uri}&_HLS_msn=9`);
});

const settled = () => new Promise((resolve) => setTimeout(resolve));

test('a resting level is asked until it is there, one question at a time', async () => {
  const answers = [head + segment(7, true), head + segment(7)];
  let [asked, now] = [0, 0];
  const warmth = new Warmth(
    () => Promise.resolve(answers[asked++] ?? ''),
    () => now,
  );
  const edge = { segment: 7, part: -1 };
  const isWarm = () => warmth.isWarm('http://host/480p/playlist.m3u8', edge);
  expect([isWarm(), isWarm(), asked]).toEqual([false, false, 1]);
  await settled();
  expect([isWarm(), asked]).toEqual([false, 1]);
  now += 300;
  expect([isWarm(), asked]).toEqual([false, 2]);
  await settled();
  expect([isWarm(), asked]).toEqual([true, 2]);
  now += 10_000;
  expect(isWarm()).toBe(false);
});

test('a level that is refused is left alone for a while', async () => {
  let [asked, now] = [0, 0];
  const load = () => {
    asked += 1;
    return Promise.reject(new Error('410'));
  };
  const warmth = new Warmth(load, () => now);
  const isWarm = () => warmth.isWarm('http://host/480p/playlist.m3u8', { segment: 7, part: 0 });
  isWarm();
  await settled();
  now += 1000;
  expect([isWarm(), asked]).toEqual([false, 1]);
  now += 3000;
  expect([isWarm(), asked]).toEqual([false, 2]);
});
