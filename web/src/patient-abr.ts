/** hls.js's choice of level by bandwidth, which waits until the level chosen has media to go on with. */

import Hls, { type Level, type LevelDetails } from 'hls.js';
import { Warmth, type Edge } from './warmth';

const ANSWER_WITHIN_MS = 8000;

async function load(address: string): Promise<string> {
  const response = await fetch(address, { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
  if (!response.ok) throw new Error(`${address} answered ${response.status}`);
  return response.text();
}

/** What is known of all levels: there is one player on a page. */
const warmth = new Warmth(load, () => performance.now());

function edgeOf(details: LevelDetails): Edge {
  const part = details.lastPartIndex;
  return part >= 0 ? { segment: details.lastPartSn, part } : { segment: details.endSN, part: -1 };
}

/** Whether playback can go on with `level`. If it cannot, the level is woken. */
export function isReady(hls: Hls, level: Level): boolean {
  const playing = hls.loadLevelObj;
  // The first level cannot be waited for, and one that fails must be left.
  if (!playing?.details?.live || playing === level || playing.loadError > 0 || playing.fragmentError > 0)
    return true;
  return warmth.isWarm(level.uri, edgeOf(playing.details));
}

export class PatientAbr extends Hls.DefaultConfig.abrController {
  override get nextAutoLevel(): number {
    const next = super.nextAutoLevel;
    const hls = this.hls as Hls | null;
    const wanted = hls?.levels[next];
    if (!hls || !wanted || isReady(hls, wanted)) return next;
    const current = hls.loadLevel;
    // Less bandwidth than the level needs: the next lower one that is there will do meanwhile.
    for (let level = next - 1; next < current && level >= 0; level--) {
      const lower = hls.levels[level];
      if (lower && isReady(hls, lower)) return level;
    }
    return current;
  }

  override set nextAutoLevel(level: number) {
    super.nextAutoLevel = level;
  }
}
