import type { Broadcast } from '@moq/net';
import { beforeEach, expect, test, vi } from 'vitest';
import { CATALOG } from './catalog';
import { Publication } from './publication';
import type { Settings } from './settings';

/** What the browser and the server would do. */
const world = vi.hoisted(() => ({
  /** The broadcast of each session that was opened, and what ends that. */
  sessions: [] as { broadcast: Broadcast.Producer; lose: () => void }[],
  failEncoder: (_error: Error): void => undefined,
}));

vi.mock('../api', () => ({ fetchBroadcasts: () => Promise.resolve([]) }));
vi.mock('../backoff', () => ({ reopenDelay: () => 0 }));
vi.mock('../endpoint', () => ({ fetchEndpoint: () => Promise.resolve({}) }));
vi.mock('../moq/session', () => ({
  connect: () => {
    let lose = (): void => undefined;
    const ended = new Promise<string>((resolve) => {
      lose = () => resolve('');
    });
    const publish = (_: unknown, broadcast: Broadcast.Producer) => world.sessions.push({ broadcast, lose });
    return Promise.resolve({ ended, connection: { version: 'moq', publish, close: () => undefined } });
  },
}));
vi.mock('./pictures', () => {
  const config = { codec: 'avc1.42e01f', width: 1280, height: 720, bitrate: 2_500_000, framerate: 30 };
  const run = () =>
    new Promise<void>((_, reject) => {
      world.failEncoder = reject;
    });
  return { PictureEncoder: { for: () => Promise.resolve({ config, run, restart: () => undefined }) } };
});

const settings: Settings = {
  name: 'live/me',
  camera: '',
  microphone: 'none',
  height: 720,
  framerate: 30,
  bitrate: 2_500_000,
  token: '',
};
const stream = { getVideoTracks: () => [{}], getAudioTracks: () => [] } as unknown as MediaStream;
const failed = vi.fn();

beforeEach(() => {
  world.sessions.length = 0;
  failed.mockClear();
});

/** The server's session of this number, once there is one. */
const session = (index: number) =>
  vi.waitFor(() => world.sessions[index] ?? Promise.reject(new Error(`no session ${index}`)), 3000);

/** Has the server take what is sent in a session. */
async function take(index: number): Promise<void> {
  const { broadcast } = await session(index);
  broadcast.track(CATALOG).subscribe();
}

test('it is live when the server takes it, and stopped when an encoder fails', async () => {
  const starting = Publication.start(stream, settings, failed);
  await take(0);
  const publication = await starting;
  expect(publication.state).toBe('live');
  world.failEncoder(new Error('no encoder'));
  await vi.waitFor(() => expect(failed).toHaveBeenCalledWith(new Error('no encoder')));
  expect(publication.state).toBe('stopped');
});

test('an encoder that fails before the server takes it ends the start', async () => {
  const starting = Publication.start(stream, settings, failed);
  await session(0);
  world.failEncoder(new Error('no encoder'));
  void take(0);
  await expect(starting).rejects.toThrow('no encoder');
  expect(failed).not.toHaveBeenCalled();
});

test('it is live again only when the server takes it again', async () => {
  const starting = Publication.start(stream, settings, failed);
  await take(0);
  const publication = await starting;
  (await session(0)).lose();
  await session(1);
  expect(publication.state).toBe('retrying');
  await take(1);
  await vi.waitFor(() => expect(publication.state).toBe('live'));
  publication.stop();
  expect(publication.state).toBe('stopped');
  expect(failed).not.toHaveBeenCalled();
});
