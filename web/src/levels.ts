/**
 * The levels of a stream whose rungs come and go while it plays.
 *
 * hls.js reads the multivariant playlist once. It is read again beside it when the server's list names other rungs, and what is new is
 * merged into what plays, so that nothing is opened anew.
 */

import type { Level, MediaPlaylist } from 'hls.js';
import type { Track } from './api';

/** What the multivariant playlist depends on: a change says that it has to be read again. */
export function rungsOf(tracks: Track[]): string {
  const ready = tracks.filter(({ codec }) => codec !== '');
  return ready
    .map(({ name, codec }) => `${name} ${codec}`)
    .sort()
    .join('\n');
}

type Comparable = Pick<Level, 'uri' | 'codecs' | 'height' | 'bitrate' | 'audioGroups'>;

function isSame(a: Comparable, b: Comparable): boolean {
  return a.uri === b.uri && a.codecs === b.codecs && a.audioGroups?.join() === b.audioGroups?.join();
}

/**
 * The levels to go on with, low to high: those read now, with what is known of the ones there were. The one `playing` stays, as it is,
 * until the player has left it.
 */
export function mergeLevels<T extends Comparable>(known: T[], read: T[], playing: T | null): T[] {
  const merged = read.map((level) => {
    if (playing?.uri === level.uri) return playing;
    return known.find((before) => isSame(before, level)) ?? level;
  });
  if (playing && !merged.includes(playing)) {
    const above = merged.findIndex(
      ({ height, bitrate }) =>
        height > playing.height || (height === playing.height && bitrate > playing.bitrate),
    );
    merged.splice(above < 0 ? merged.length : above, 0, playing);
  }
  return merged;
}

/** The sounds of groups that are not known yet. */
export function newSounds<T extends Pick<MediaPlaylist, 'groupId'>>(known: T[], read: T[]): T[] {
  return read.filter(({ groupId }) => !known.some((before) => before.groupId === groupId));
}

/**
 * Lets bandwidth alone choose the level. hls.js keeps to the codecs it began with, and would never go from a source with AAC to a rung
 * with Opus; a source buffer that can change its type has no need of that.
 */
export function joinCodecs(levels: { codecSet: string }[]): void {
  const [first] = levels;
  if (!first || typeof globalThis.SourceBuffer?.prototype.changeType !== 'function') return;
  for (const level of levels) level.codecSet = first.codecSet;
}

/** The index of the sound to go on with when the level's group changes: the same by name, or the default. */
export function sameSound(
  sounds: Pick<MediaPlaylist, 'name' | 'default'>[],
  before: Pick<MediaPlaylist, 'name'> | null,
): number {
  const same = before ? sounds.findIndex(({ name }) => name === before.name) : -1;
  return same >= 0
    ? same
    : Math.max(
        0,
        sounds.findIndex((sound) => sound.default),
      );
}
