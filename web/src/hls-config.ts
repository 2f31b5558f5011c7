/** How hls.js is set up, and why. */

import type { HlsConfig } from 'hls.js';
import { CodecMemory } from './codec-memory';
import { PatientAbr } from './patient-abr';

const RETRY = { maxNumRetry: 6, retryDelayMs: 500, maxRetryDelayMs: 4000, backoff: 'exponential' as const };

export const hlsConfig: Partial<HlsConfig> = {
  lowLatencyMode: true,
  abrController: PatientAbr,
  bufferController: CodecMemory,
  // Media is fMP4 and passes through unchanged: a worker would only add a hop.
  enableWorker: false,
  liveDurationInfinity: true,
  backBufferLength: 10,
  // The live edge is followed by our own controller: hls.js neither speeds up nor backs off after stalls.
  maxLiveSyncPlaybackRate: 1,
  liveSyncOnStallIncrease: 0,
  // It restarts loading at the first playlist, and there are no interstitials here.
  enableInterstitialPlayback: false,
  // Start at a quality a usual connection carries, without fetching the lowest one first as a test.
  testBandwidth: false,
  abrEwmaDefaultEstimate: 4_000_000,
  playlistLoadPolicy: {
    default: {
      maxTimeToFirstByteMs: 10_000,
      maxLoadTimeMs: 20_000,
      // A level that was waited for so long is behind: another one is tried after one more time.
      timeoutRetry: { maxNumRetry: 1, retryDelayMs: 0, maxRetryDelayMs: 0 },
      errorRetry: RETRY,
    },
  },
};

/**
 * How far from the edge of the playlist to start, in seconds, for a part target in seconds: one and a half
 * parts, half of what PART-HOLD-BACK recommends, since the controller finds the buffer that is really
 * needed. `null` where there are no parts: then the playlist's own HOLD-BACK holds.
 */
export function syncDuration(partTarget: number): number | null {
  return partTarget > 0 ? 1.5 * partTarget : null;
}
