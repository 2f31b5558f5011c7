import { expect, test } from 'vitest';
import { Playout, together } from './playout';

const settings = { share: 0.9, safety: 0.005 };

/** Lets pictures of 30 a second arrive, each `late` after the least it could take, which is 5 s less than its time. */
function arrive(playout: Playout, count: number, late: (index: number) => number, from = 0): void {
  for (let i = from; i < from + count; i++) playout.arrived(i / 30, i / 30 + 5 + late(i));
}

test('nothing is known before anything has arrived', () => {
  const playout = new Playout(settings);
  expect(playout.edge).toBeNull();
  expect(playout.delay).toBeNull();
});

test('what comes evenly is played at once, but for the safety', () => {
  const playout = new Playout(settings);
  arrive(playout, 60, () => 0);
  expect(playout.edge).toBeCloseTo(5);
  expect(playout.delay).toBeCloseTo(5.005);
});

test('most are waited for, and the few latest are not', () => {
  const playout = new Playout(settings);
  // One in three takes 20 ms more, one in thirty 200 ms.
  arrive(playout, 240, (i) => (i % 30 === 7 ? 0.2 : i % 3 === 0 ? 0.02 : 0));
  expect(playout.edge).toBeCloseTo(5);
  expect(playout.delay).toBeCloseTo(5.025);
});

test('the beginning of a group, which comes in one go, does not count', () => {
  const playout = new Playout(settings);
  // Frames of 20 ms, each decoded 1 ms after the one before.
  for (let i = 0; i < 106; i++) playout.arrived(i / 50, 7 + i / 1000);
  for (let i = 106; i < 160; i++) playout.arrived(i / 50, 5 + i / 50);
  expect(playout.edge).toBeCloseTo(5);
  expect(playout.delay).toBeLessThan(5.005 + 0.02);
});

test('what was slow is forgotten after a while, and so is a path that was quicker', () => {
  const playout = new Playout(settings);
  arrive(playout, 60, () => 0.1);
  arrive(playout, 30, () => 0, 60);
  arrive(playout, 300, () => 0.05, 90);
  expect(playout.edge).toBeCloseTo(5.05);
  expect(playout.delay).toBeCloseTo(5.055);
});

test('another timeline begins anew', () => {
  const playout = new Playout(settings);
  arrive(playout, 300, () => 0);
  playout.arrived(2, 20);
  expect(playout.edge).toBeCloseTo(18);
  expect(playout.newest).toBe(2);
  // So may be what comes after a gap, such as when a publisher returns.
  playout.arrived(4, 22.7);
  expect(playout.edge).toBeCloseTo(18.7);
  // A picture out of order is none.
  playout.arrived(3.9, 22.8);
  expect(playout.newest).toBe(4);
  expect(playout.edge).toBeCloseTo(18.7);
});

test('sound is never before its picture, nor noticeably after it', () => {
  expect(together(null, null)).toEqual({ pictures: 0, sound: 0 });
  expect(together(3, null)).toEqual({ pictures: 3, sound: 3 });
  expect(together(null, 4)).toEqual({ pictures: 4, sound: 4 });
  expect(together(3, 2.5)).toEqual({ pictures: 3, sound: 3 });
  expect(together(3, 3.1)).toEqual({ pictures: 3, sound: 3.1 });
  expect(together(3, 4)).toEqual({ pictures: 3.88, sound: 4 });
});
