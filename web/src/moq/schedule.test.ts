import { expect, test } from 'vitest';
import { Schedule } from './schedule';

const FRAME = 0.02;

test('pieces follow each other without gaps, whatever the clocks say meanwhile', () => {
  const schedule = new Schedule();
  expect(schedule.place(0, FRAME, 1, 0.9)).toBe(1);
  for (let i = 1; i < 50; i++) {
    const at = 1 + i * FRAME;
    const unsteady = (i % 3) * 0.005;
    expect(schedule.place(i * FRAME, FRAME, at + unsteady, at - 0.1)).toBeCloseTo(at, 9);
  }
  expect(schedule.gaps).toBe(0);
});

test('where it ran out it begins again when it is due, and that is counted', () => {
  const schedule = new Schedule();
  schedule.place(0, FRAME, 1, 0.9);
  expect(schedule.place(FRAME, FRAME, 1.3, 1.2)).toBe(1.3);
  expect(schedule.gaps).toBe(1);
});

test('a piece that is too late is left out, and is no gap of its own', () => {
  const schedule = new Schedule();
  expect(schedule.place(0, FRAME, 1, 1.5)).toBeNull();
  expect(schedule.place(FRAME, FRAME, 1.6, 1.5)).toBe(1.6);
  expect(schedule.gaps).toBe(0);
});

test('media that jumps is played when it is due, never over what plays', () => {
  const schedule = new Schedule();
  schedule.place(0, FRAME, 1, 0.9);
  expect(schedule.place(7, FRAME, 1.01, 0.95)).toBeCloseTo(1.02);
  expect(schedule.place(9, FRAME, 3, 0.95)).toBe(3);
});

test('sound that has fallen behind its picture leaves out pieces until it is there again', () => {
  const schedule = new Schedule();
  schedule.place(0, FRAME, 1, 0.9);
  const places = [1, 2, 3, 4, 5, 6, 7].map((i) =>
    schedule.place(i * FRAME, FRAME, 1 + i * FRAME - 0.09, 0.9),
  );
  expect(places.filter((place) => place === null).length).toBe(2);
  expect(places.at(-1)).toBeCloseTo(1 + 5 * FRAME);
  expect(schedule.gaps).toBe(0);
});
