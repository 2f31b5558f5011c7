import { expect, test } from 'vitest';
import { Choice } from './choice';

test('it begins with the highest, and one trouble is an accident', () => {
  const choice = new Choice();
  expect(choice.index(3, 0)).toBe(2);
  choice.trouble(1);
  choice.trouble(20);
  expect(choice.index(3, 20)).toBe(2);
  expect(choice.index(0, 20)).toBe(-1);
});

test('it goes down in trouble, no further than the lowest, and up again when it is quiet', () => {
  const choice = new Choice();
  for (let i = 0; i < 8; i++) choice.trouble(i);
  expect(choice.index(3, 8)).toBe(0);
  expect(choice.index(3, 26)).toBe(0);
  expect(choice.index(3, 28)).toBe(1);
  expect(choice.index(3, 47)).toBe(1);
  expect(choice.index(3, 49)).toBe(2);
});

test('each time that going up fails it waits longer', () => {
  const choice = new Choice();
  choice.trouble(0);
  choice.trouble(1);
  expect(choice.index(2, 22)).toBe(1);
  choice.trouble(23);
  choice.trouble(24);
  expect(choice.index(2, 60)).toBe(0);
  expect(choice.index(2, 65)).toBe(1);
});
