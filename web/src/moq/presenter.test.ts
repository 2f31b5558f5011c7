import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Presenter } from './presenter';

class Picture {
  isClosed = false;
  constructor(readonly time: number) {}
  close(): void {
    this.isClosed = true;
  }
}

let delay = 0;
let shown: number[] = [];
let presenter: Presenter<Picture>;

beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
  delay = 0.05;
  shown = [];
  presenter = new Presenter<Picture>(
    (_, time) => shown.push(time),
    () => delay,
    () => Date.now() / 1000,
  );
});
afterEach(() => vi.useRealTimers());

function push(...times: number[]): Picture[] {
  return times.map((time) => {
    const picture = new Picture(time);
    presenter.push(picture, time);
    return picture;
  });
}

test('the first picture is shown at once, and the others when they are due', () => {
  push(0, 0.1, 0.2);
  expect(shown).toEqual([0]);
  vi.advanceTimersByTime(149);
  expect(shown).toEqual([0]);
  vi.advanceTimersByTime(1);
  expect(shown).toEqual([0, 0.1]);
  vi.advanceTimersByTime(100);
  expect(shown).toEqual([0, 0.1, 0.2]);
  expect(presenter.position).toBe(0.2);
});

test('of several that are due the newest is shown, and the others are closed', () => {
  push(0);
  delay = 10;
  const [late] = push(0.1, 0.2);
  delay = 0;
  vi.setSystemTime(250);
  presenter.run();
  expect(shown).toEqual([0, 0.2]);
  expect(late?.isClosed).toBe(true);
  expect(presenter.dropped).toBe(1);
});

test('another rendition replaces what waits of the same time', () => {
  push(0);
  const [keeps, goes, goesToo] = push(0.1, 0.2, 0.3);
  push(0.2);
  expect([keeps, goes, goesToo].map((picture) => picture?.isClosed)).toEqual([false, true, true]);
  vi.advanceTimersByTime(1000);
  expect(shown).toEqual([0, 0.1, 0.2]);
});

test('when too many wait the earliest is shown early, so that decoders get their pictures back', () => {
  delay = 100;
  const pictures = push(...Array.from({ length: 30 }, (_, i) => i));
  expect(shown).toEqual([0, 1, 2, 3, 4, 5]);
  expect(presenter.dropped).toBe(0);
  presenter.clear();
  expect(pictures.slice(6).every(({ isClosed }) => isClosed)).toBe(true);
  expect(presenter.position).toBeNull();
});
