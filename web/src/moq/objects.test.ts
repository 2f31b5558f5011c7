import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { objects, type Groups } from './objects';

/** A group whose frames are given one by one. */
class Group {
  isClosed = false;
  #frames: (number | null | Error)[] = [];
  #wake: () => void = () => undefined;

  give(...frames: (number | null | Error)[]): void {
    this.#frames.push(...frames);
    this.#wake();
  }

  async readFrame(): Promise<{ payload: Uint8Array } | undefined> {
    while (this.#frames.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    const frame = this.#frames.shift() ?? null;
    if (frame instanceof Error) throw frame;
    return frame === null ? undefined : { payload: new Uint8Array([frame]) };
  }

  close(): void {
    this.isClosed = true;
  }
}

class Subscription {
  #groups: (Group | undefined)[] = [];
  #wake: () => void = () => undefined;

  add(group: Group | undefined): void {
    this.#groups.push(group);
    this.#wake();
  }

  async nextGroup(): Promise<Group | undefined> {
    while (this.#groups.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.#groups.shift();
  }
}

let subscription: Subscription;
let read: string[];
let ended: Promise<void>;

beforeEach(() => {
  vi.useFakeTimers();
  subscription = new Subscription();
  read = [];
  ended = (async () => {
    for await (const { payload, first, skipped } of objects(subscription as unknown as Groups, 300))
      read.push(`${payload[0]}${first ? ' first' : ''}${skipped ? ' skipped' : ''}`);
  })();
});
afterEach(() => vi.useRealTimers());

test('objects come group by group until the track ends', async () => {
  const [a, b] = [new Group(), new Group()];
  subscription.add(a);
  a.give(1, 2, null);
  subscription.add(b);
  b.give(3, null);
  subscription.add(undefined);
  await ended;
  expect(read).toEqual(['1 first', '2', '3 first']);
  expect([a.isClosed, b.isClosed]).toEqual([true, true]);
});

test('the rest of a group is waited for, but not for ever once there is a newer one', async () => {
  const [a, b] = [new Group(), new Group()];
  subscription.add(a);
  a.give(1);
  await vi.advanceTimersByTimeAsync(5000);
  a.give(2);
  subscription.add(b);
  b.give(8);
  await vi.advanceTimersByTimeAsync(299);
  expect(read).toEqual(['1 first', '2']);
  await vi.advanceTimersByTimeAsync(1);
  expect(read).toEqual(['1 first', '2', '8 first skipped']);
  expect(a.isClosed).toBe(true);
});

test('a group that the server gives up is followed by the next', async () => {
  const [a, b, c] = [new Group(), new Group(), new Group()];
  subscription.add(a);
  a.give(1, new Error('reset'));
  subscription.add(b);
  b.give(2, null);
  subscription.add(c);
  c.give(3, null);
  subscription.add(undefined);
  await ended;
  expect(read).toEqual(['1 first', '2 first skipped', '3 first']);
});
