/** Reads off a media element, and off hls.js where it is used, what the page shows and tests look at. */

import type Hls from 'hls.js';

/** One quality of the stream. */
export interface LevelInfo {
  index: number;
  name: string;
  width: number;
  height: number;
  /** Peak bits per second, from the playlist. */
  bitrate: number;
  codecs: string;
  /** The track that its playlist is of; empty where the address does not tell. */
  track: string;
}

/** What latency was computed from: the stream's programme date-time, or the estimated end of the playlist. */
export type LatencySource = 'clock' | 'edge';

/** A moment of playback. Times in seconds; `null` is "not known". */
export interface Measurement {
  /** What it is played over, with its version where it has one. */
  protocol: string;
  currentTime: number;
  /** Media buffered ahead of the playhead. */
  buffered: number;
  /** The best figure there is for the time from capture to screen. */
  latency: number | null;
  latencyFrom: LatencySource | null;
  /** This machine's clock minus the programme date-time of the picture shown: right if both clocks are. */
  clockLatency: number | null;
  /** The playlist's end, moved on by its age, minus the playhead: needs no clock, knows nothing of the encoder. */
  edgeLatency: number | null;
  /** Index of the level on screen; -1 while nothing is. */
  level: number;
  levels: LevelInfo[];
  /** Estimated bits per second of the network. */
  bandwidth: number | null;
  playbackRate: number;
  partTarget: number | null;
  decodedFrames: number;
  droppedFrames: number;
  /** Times the picture stood still though it should have moved, since the stream was opened. */
  stalls: number;
  /** How much later than its picture the sound is; `null` where the browser keeps them together. */
  soundLag: number | null;
  /** How loud it is now, before the volume is applied: root mean square, 0 to 1. */
  soundLevel: number | null;
  /** How much sound has been played. */
  soundPlayed: number | null;
  /** Times that the sound broke off for want of more. */
  soundGaps: number | null;
}

/** A programme clock further away than this, in seconds, is wrong, or the viewer's is. */
const BELIEVABLE = 600;

export function measure(
  video: HTMLVideoElement,
  hls: Hls | null,
  stalls: number,
  partTarget: number,
): Measurement {
  const quality = video.getVideoPlaybackQuality();
  const clockLatency = believable(latencyByClock(video, hls));
  const edgeLatency = hls && hls.latency > 0 ? hls.latency : null;
  const end = bufferedEnd(video);
  return {
    protocol: hls ? 'LL-HLS' : 'HLS',
    currentTime: video.currentTime,
    buffered: end === null ? 0 : Math.max(0, end - video.currentTime),
    latency: clockLatency ?? edgeLatency,
    latencyFrom: clockLatency !== null ? 'clock' : edgeLatency !== null ? 'edge' : null,
    clockLatency,
    edgeLatency,
    level: hls?.currentLevel ?? -1,
    levels: hls ? levels(hls) : [],
    bandwidth: hls && Number.isFinite(hls.bandwidthEstimate) ? hls.bandwidthEstimate : null,
    playbackRate: video.playbackRate,
    partTarget: partTarget > 0 ? partTarget : null,
    decodedFrames: quality.totalVideoFrames,
    droppedFrames: quality.droppedVideoFrames,
    stalls,
    soundLag: null,
    soundLevel: null,
    soundPlayed: null,
    soundGaps: null,
  };
}

/** Where the buffered range that holds the playhead ends, in seconds; `null` outside all of them. */
export function bufferedEnd({ buffered, currentTime }: HTMLVideoElement): number | null {
  for (let i = 0; i < buffered.length; i++) {
    if (buffered.start(i) - 0.1 <= currentTime && currentTime <= buffered.end(i)) return buffered.end(i);
  }
  return null;
}

function latencyByClock(video: HTMLVideoElement, hls: Hls | null): number | null {
  if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return null;
  if (hls) return hls.playingDate ? (Date.now() - hls.playingDate.getTime()) / 1000 : null;
  const start = startDate(video);
  return start === null ? null : (Date.now() - start) / 1000 - video.currentTime;
}

/** Programme date-time of position 0, which only browsers with HLS of their own tell; milliseconds. */
function startDate(video: HTMLVideoElement & { getStartDate?: () => Date }): number | null {
  const time = video.getStartDate?.().getTime();
  return time === undefined || Number.isNaN(time) ? null : time;
}

function believable(latency: number | null): number | null {
  return latency !== null && latency >= 0 && latency < BELIEVABLE ? latency : null;
}

function levels(hls: Hls): LevelInfo[] {
  return hls.levels.map((level, index) => ({
    index,
    name: level.name || (level.height ? `${level.height}p` : 'audio'),
    width: level.width,
    height: level.height,
    bitrate: level.bitrate,
    codecs: level.codecs,
    track: trackIn(level.uri),
  }));
}

/** The track that the playlist at an address is of: `…/<track>/playlist.m3u8`. */
function trackIn(uri: string): string {
  return /\/([^/]+)\/[^/?]+(?:\?.*)?$/.exec(uri)?.[1] ?? '';
}
