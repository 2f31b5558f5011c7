import { expect, test } from 'vitest';
import { endpointUrl, parseEndpoint } from './endpoint';

const hash = 'ab'.repeat(32);

test('an endpoint is read field by field', () => {
  expect(
    parseEndpoint({ port: 4443, path: '/', certificate_sha256: hash, protocols: ['moq-lite-05', 7] }),
  ).toEqual({
    port: 4443,
    path: '/',
    certificate: new Uint8Array(32).fill(0xab),
    protocols: ['moq-lite-05'],
  });
  expect(parseEndpoint({ port: 1, certificate_sha256: null })).toEqual({
    port: 1,
    path: '/',
    certificate: null,
    protocols: [],
  });
});

test.each([
  [null, 'port'],
  [{ port: 0 }, 'port 0'],
  [{ port: 70_000 }, 'port 70000'],
  [{ port: '4443' }, 'port 4443'],
  [{ port: 4443, certificate_sha256: 'abc' }, '64 hexadecimal digits'],
  [{ port: 4443, certificate_sha256: 7 }, '64 hexadecimal digits'],
])('%j is refused', (document, words) => {
  expect(() => parseEndpoint(document)).toThrow(words);
});

test('the address has the host of the page, and the token where there is one', () => {
  const endpoint = parseEndpoint({ port: 4443, path: '/moq' });
  expect(endpointUrl(endpoint, 'example.org', '').href).toBe('https://example.org:4443/moq');
  expect(endpointUrl(endpoint, '[::1]', 'a b&c').href).toBe('https://[::1]:4443/moq?token=a+b%26c');
  const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJwdXQiOiIifQ.c2ln';
  expect(endpointUrl(endpoint, 'a', jwt).search).toBe(`?jwt=${jwt}`);
  expect(endpointUrl(endpoint, 'a', `${jwt}.x`).search).toBe(`?token=${jwt}.x`);
});
