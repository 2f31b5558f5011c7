import { expect, test } from 'vitest';
import { orAborted } from './abort';

const never = new Promise<never>(() => undefined);

test('what is waited for comes through', async () => {
  const { signal } = new AbortController();
  await expect(orAborted(Promise.resolve(1), signal)).resolves.toBe(1);
  await expect(orAborted(Promise.reject(new Error('lost')), signal)).rejects.toThrow('lost');
});

test('waiting is given up with the reason', async () => {
  const stop = new AbortController();
  const waiting = orAborted(never, stop.signal);
  stop.abort(new Error('stopped'));
  await expect(waiting).rejects.toThrow('stopped');
  await expect(orAborted(never, stop.signal)).rejects.toThrow('stopped');
  await expect(orAborted(Promise.resolve(1), stop.signal)).rejects.toThrow('stopped');
});
