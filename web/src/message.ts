/** What to tell the viewer over the picture, if anything. Pure. */

import type { Broadcast } from './api';
import type { Phase } from './playback';

export interface Message {
  /** `wait`: something is expected to happen by itself. `push`: show how to publish. */
  kind: 'wait' | 'info' | 'push';
  title: string;
  body: string;
}

export interface Situation {
  /** The broadcast the page is about; `null` when none was asked for and none is on air. */
  name: string | null;
  /** Its entry in the server's list, if it has one. */
  broadcast: Broadcast | undefined;
  /** Whether the list was ever read, and whether the last attempt worked. */
  listed: boolean;
  reachable: boolean;
  phase: Phase;
  /** hls.js's code for why the stream cannot be loaded. */
  failure: string | null;
}

/** The message for a situation; `null` when the picture speaks for itself. */
export function messageFor(situation: Situation): Message | null {
  const { name, broadcast, listed, reachable, phase, failure } = situation;
  const moving = phase === 'playing';
  if (!reachable && !moving)
    return { kind: 'wait', title: 'The server cannot be reached', body: 'Trying again by itself.' };
  if (!listed) return { kind: 'wait', title: 'Looking for broadcasts…', body: '' };
  if (name === null)
    return {
      kind: 'push',
      title: 'Nothing is live yet',
      body: 'Push a stream with ffmpeg, and it plays here within a moment:',
    };
  if (moving) return null;
  if (phase === 'ended' && broadcast?.state !== 'live') return ended(name);
  if (!broadcast)
    return phase === 'idle'
      ? { kind: 'wait', title: `${name} is not on air`, body: 'It plays here as soon as it starts.' }
      : ended(name);
  if (broadcast.state === 'ended') return ended(name);
  if (broadcast.state === 'waiting')
    return {
      kind: 'wait',
      title: 'The publisher is away',
      body: 'Waiting for its return. The broadcast then plays on by itself.',
    };
  if (failure !== null) return { kind: 'wait', ...failed(failure, broadcast) };
  if (phase === 'stalled')
    return { kind: 'wait', title: 'Buffering…', body: 'The stream is slow to arrive.' };
  return { kind: 'wait', title: 'Opening the stream…', body: '' };
}

function ended(name: string): Message {
  return {
    kind: 'info',
    title: 'This broadcast has ended',
    body: `If ${name} goes on air again, it plays here by itself.`,
  };
}

function failed(code: string, broadcast: Broadcast): { title: string; body: string } {
  if (/codec|incompatible/i.test(code)) {
    const codecs = [...new Set(broadcast.tracks.map((track) => track.codec).filter(Boolean))].join(', ');
    return {
      title: 'This browser cannot play the stream',
      body: codecs ? `It is coded as ${codecs}.` : `hls.js says ${code}.`,
    };
  }
  return { title: 'The stream cannot be loaded', body: `Trying again by itself (${code}).` };
}
