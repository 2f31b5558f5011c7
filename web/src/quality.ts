/** The words of the quality selector. Pure. */

import type { Track } from './api';
import { bitrate, size } from './format';
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
  return [
    { value: -1, text: auto },
    ...levels.map((level) => ({
      value: level.index,
      text: describe(level, level.index === playing, tracks),
    })),
  ];
}

function describe(level: LevelInfo, playing: boolean, tracks: Track[]): string {
  const maker = makerOf(level, tracks);
  const facts = [level.name, size(level.width, level.height), bitrate(level.bitrate), maker].filter(Boolean);
  return `${playing ? '▶ ' : ''}${facts.join(' · ')}`;
}

/** A playlist does not say who made a level; its picture size tells, if only one track has it. */
function makerOf(level: LevelInfo, tracks: Track[]): string {
  const same = tracks.filter(
    (t) => t.kind === 'video' && t.width === level.width && t.height === level.height,
  );
  const [track] = same;
  if (!track || same.length > 1) return '';
  return track.madeBy ? `by ${track.madeBy}` : 'source';
}
