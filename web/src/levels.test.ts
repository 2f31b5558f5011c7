import { afterEach, expect, test, vi } from 'vitest';
import type { Track } from './api';
import { joinCodecs, mergeLevels, newSounds, rungsOf, sameSound } from './levels';

const level = (track: string, height: number, group = 'audio', bitrate = height * 1000) => ({
  uri: `http://host/hls/live/demo/${track}/playlist.m3u8`,
  codecs: 'avc1.64001f,mp4a.40.2',
  height,
  bitrate,
  audioGroups: [group],
});

test('the levels are read again when rungs come, go, or are known', () => {
  const track = (name: string, codec: string): Track => ({
    name,
    codec,
    kind: 'video',
    width: null,
    height: null,
    bitrate: null,
    rendition: null,
    madeBy: null,
  });
  const source = track('video', 'avc1.64001f');
  const alone = rungsOf([source]);
  expect(rungsOf([source, track('480p', '')])).toBe(alone);
  expect(rungsOf([{ ...source, bitrate: 1, width: 640 }])).toBe(alone);
  const both = rungsOf([source, track('480p', 'av01.0.04M.08')]);
  expect(both).not.toBe(alone);
  expect(rungsOf([track('480p', 'av01.0.04M.08'), source])).toBe(both);
});

test('a rung that comes takes its place, and what is known of the others stays', () => {
  const [low, high] = [level('240p', 240), level('video', 720)];
  const read = [level('240p', 240), level('480p', 480), level('video', 720)];
  const merged = mergeLevels([low, high], read, high);
  expect(merged[0]).toBe(low);
  expect(merged[1]).toBe(read[1]);
  expect(merged[2]).toBe(high);
});

test('a rung that goes stays for as long as it plays', () => {
  const [low, middle, high] = [level('240p', 240), level('480p', 480), level('video', 720)];
  const read = [level('240p', 240), level('video', 720)];
  expect(mergeLevels([low, middle, high], read, middle)).toEqual([low, middle, high]);
  expect(mergeLevels([low, middle, high], read, high)).toEqual([low, high]);
});

test('a rung with sound of its own is another level, but not while it plays', () => {
  const before = level('480p', 480);
  const after = level('480p', 480, 'audio-480p');
  expect(mergeLevels([before], [after], null)[0]).toBe(after);
  expect(mergeLevels([before], [after], before)[0]).toBe(before);
});

test('sounds of new groups are added', () => {
  const read = [{ groupId: 'audio' }, { groupId: 'audio-480p' }];
  expect(newSounds([{ groupId: 'audio' }], read)).toEqual([{ groupId: 'audio-480p' }]);
});

test('the sound of the same name goes on, or else the default', () => {
  const sounds = [
    { name: 'audio', default: false },
    { name: 'audio-de', default: true },
  ];
  expect(sameSound(sounds, { name: 'audio' })).toBe(0);
  expect(sameSound(sounds, { name: 'gone' })).toBe(1);
  expect(sameSound([{ name: 'audio', default: false }], null)).toBe(0);
});

afterEach(() => vi.unstubAllGlobals());

test('codecs keep levels apart only where a buffer cannot change its type', () => {
  const levels = () => [{ codecSet: 'avc1,opus' }, { codecSet: 'avc1,mp4a' }];
  vi.stubGlobal('SourceBuffer', class {});
  const apart = levels();
  joinCodecs(apart);
  expect(apart).toEqual(levels());
  vi.stubGlobal('SourceBuffer', { prototype: { changeType: () => undefined } });
  const joined = levels();
  joinCodecs(joined);
  expect(joined.map(({ codecSet }) => codecSet)).toEqual(['avc1,opus', 'avc1,opus']);
});
