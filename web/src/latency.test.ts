import { expect, test } from 'vitest';
import { LatencyController, type Decision } from './latency';

const TICK = 0.04;

/** A playhead and a buffer that grows with real time: `ahead` is what is buffered at each moment. */
class Playback {
  now = 100;
  currentTime = 10;
  controller = new LatencyController();
  jumps: number[] = [];
  /** What jumps have taken from the buffer so far. */
  #gained = 0;

  /** Plays for some seconds, doing as told; returns the last decision. */
  run(duration: number, ahead: (now: number) => number): Decision {
    let decision: Decision = { rate: 1, jumpTo: null };
    for (let elapsed = 0; elapsed < duration; elapsed += TICK) {
      this.now += TICK;
      const bufferedEnd = this.currentTime + ahead(this.now) - this.#gained;
      decision = this.controller.sample({ now: this.now, currentTime: this.currentTime, bufferedEnd });
      if (decision.jumpTo !== null) {
        this.jumps.push(decision.jumpTo - this.currentTime);
        this.#gained += decision.jumpTo - this.currentTime;
        this.currentTime = decision.jumpTo;
      }
      this.currentTime += TICK;
    }
    return decision;
  }
}

const steady = (ahead: number) => () => ahead;

test('it only watches until a full window was seen', () => {
  const playback = new Playback();
  expect(playback.run(2.3, steady(1.5))).toEqual({ rate: 1, jumpTo: null });
  expect(playback.jumps).toEqual([]);
});

test('one jump leaves the margin and a little', () => {
  const playback = new Playback();
  playback.run(2.6, steady(1.2));
  expect(playback.jumps).toHaveLength(1);
  expect(playback.jumps[0]).toBeCloseTo(1.2 - 0.17);
  expect(playback.run(6, steady(1.2)).rate).toBe(1);
  expect(playback.jumps).toHaveLength(1);
});

test('the least buffer counts, not the latest', () => {
  const playback = new Playback();
  // Half-second parts: the buffer swings between 0.2 and 0.7 and must not be cut by its mean.
  playback.run(6, (now) => 0.7 - (now % 0.5));
  expect(playback.jumps).toEqual([]);
});

test.each([
  { ahead: 0.15, rate: 1 },
  { ahead: 0.2, rate: 1 },
  { ahead: 0.22, rate: 1.04 },
  { ahead: 0.09, rate: 0.95 },
])('a least buffer of $ahead s plays at $rate', ({ ahead, rate }) => {
  expect(new Playback().run(4, steady(ahead)).rate).toBe(rate);
});

test('a buffer that builds up after the jump is worked off by speed', () => {
  const playback = new Playback();
  playback.run(4, steady(0.15));
  expect(playback.run(4, steady(0.6))).toEqual({ rate: 1.1, jumpTo: null });
});

test('a backlog is jumped over again', () => {
  const playback = new Playback();
  playback.run(4, steady(0.15));
  playback.run(2.6, steady(5));
  expect(playback.jumps).toHaveLength(1);
  expect(playback.jumps[0]).toBeCloseTo(5 - 0.17);
});

test('after a restart a full window comes first, and a jump is allowed again', () => {
  const playback = new Playback();
  playback.run(4, steady(0.15));
  playback.controller.restart();
  playback.run(2.3, steady(1));
  expect(playback.jumps).toEqual([]);
  playback.run(0.2, steady(1));
  expect(playback.jumps).toHaveLength(1);
});

test('each stall widens the margin for a minute, up to a limit', () => {
  const controller = new LatencyController();
  expect(controller.margin(0)).toBeCloseTo(0.15);
  controller.stalled(10);
  controller.stalled(20);
  expect(controller.margin(21)).toBeCloseTo(0.35);
  expect(controller.margin(71)).toBeCloseTo(0.25);
  expect(controller.margin(90)).toBeCloseTo(0.15);
  for (let at = 100; at < 120; at++) controller.stalled(at);
  expect(controller.margin(120)).toBe(1);
});
