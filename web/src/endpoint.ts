/** Where the server speaks Media over QUIC, `GET /api/v1/moq`: its shape, and the reading of it. */

/** The server's endpoint for WebTransport. */
export interface Endpoint {
  /** UDP port, on the host that the page came from. */
  port: number;
  path: string;
  /** SHA-256 of the certificate, 32 bytes, where it is one that browsers do not trust by themselves. */
  certificate: Uint8Array<ArrayBuffer> | null;
  /** Versions of the protocol that it speaks, such as `moq-lite-05`. */
  protocols: string[];
}

const ADDRESS = '/api/v1/moq';
const ANSWER_WITHIN_MS = 5000;

/** Asks the server for its endpoint: `null` where it has none. Rejects when it cannot be reached or answers with something else. */
export async function fetchEndpoint(): Promise<Endpoint | null> {
  const response = await fetch(ADDRESS, {
    cache: 'no-store',
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  });
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`${ADDRESS} answered ${response.status}`);
  return parseEndpoint(await response.json());
}

/** Reads an endpoint out of parsed JSON. Throws when it has no port, or a certificate hash that is none. */
export function parseEndpoint(document: unknown): Endpoint {
  const fields = (typeof document === 'object' && document !== null ? document : {}) as Record<
    string,
    unknown
  >;
  const port = fields['port'];
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535)
    throw new Error(`port ${String(port)} (expected 1 to 65535)`);
  const { path, protocols } = fields;
  return {
    port,
    path: typeof path === 'string' && path.startsWith('/') ? path : '/',
    certificate: parseHash(fields['certificate_sha256']),
    protocols: Array.isArray(protocols) ? protocols.filter((name) => typeof name === 'string') : [],
  };
}

function parseHash(value: unknown): Uint8Array<ArrayBuffer> | null {
  if (value === null || value === undefined) return null;
  if (typeof value !== 'string' || !/^[0-9a-f]{64}$/i.test(value))
    throw new Error(`certificate_sha256 ${JSON.stringify(value)} (expected 64 hexadecimal digits)`);
  return Uint8Array.from(value.match(/../g) ?? [], (digits) => parseInt(digits, 16));
}

/** What JSON Web Tokens look like (RFC 7519): three parts, of which the first is a JSON object. */
const JWT = /^eyJ[\w-]*\.[\w-]+\.[\w-]*$/;

/** The address to connect to from a page of `hostname`, which may be an IPv6 address in brackets; with a token where one is needed. */
export function endpointUrl({ port, path }: Endpoint, hostname: string, token: string): URL {
  const url = new URL(`https://${hostname}:${port}${path}`);
  if (token !== '') url.searchParams.set(JWT.test(token) ? 'jwt' : 'token', token);
  return url;
}
