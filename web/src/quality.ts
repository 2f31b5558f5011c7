/** The words of the quality selector. Pure. */

import type { Track } from './api';
import { bitrate, codecName, size } from './format';
import type { LevelInfo } from './measure';

/** Value and text of each entry, automatic (-1) first. The one on screen is marked. */
export function options(
  levels: LevelInfo[],
  playing: number,
  wanted: number,
  tracks: Track[],
): { value: number; text: string }[] {
  const now = levels[playing];
  const auto = wanted === -1 && now ? `Auto (${now.name})` : 'Auto';
  const mixed = new Set(levels.map(pictureCodec)).size > 1;
  return [
    { value: -1, text: auto },
    ...levels.map((level) => ({
      value: level.index,
      text: describe(level, level.index === playing, mixed, tracks),
    })),
  ];
}

function describe(level: LevelInfo, playing: boolean, mixed: boolean, tracks: Track[]): string {
  const codec = mixed ? pictureCodec(level) : '';
  const maker = makerOf(level, tracks);
  const about = [level.name, size(level.width, level.height), codec, bitrate(level.bitrate), maker];
  const facts = about.filter(Boolean);
  return `${playing ? '▶ ' : ''}${facts.join(' · ')}`;
}

/** What the pictures of a level are coded as. */
function pictureCodec(level: LevelInfo): string {
  return codecName(level.codecs.split(',')[0] ?? '');
}

/** A playlist does not say who made a level; its address does, and else its picture size, if only one track has it. */
function makerOf(level: LevelInfo, tracks: Track[]): string {
  const videos = tracks.filter(({ kind }) => kind === 'video');
  const named = videos.filter(({ name }) => name === level.track);
  const same =
    named.length > 0 ? named : videos.filter((t) => t.width === level.width && t.height === level.height);
  const [track] = same;
  if (!track || same.length > 1) return '';
  return track.madeBy ? `by ${track.madeBy}` : 'source';
}
