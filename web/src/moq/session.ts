/** Sessions with the server's MoQ endpoint, over WebTransport. */

import { Connection } from '@moq/net';
import { orAborted } from '../abort';
import { endpointUrl, type Endpoint } from '../endpoint';

export interface Session {
  connection: Connection.Established;
  /** Resolves when it is over, with the server's reason, which may be empty. */
  ended: Promise<string>;
}

/** What is spoken here, the best first. */
const VERSIONS = ['moq-lite-05', 'moq-lite-04', 'moq-lite-03'];
const CONNECT_WITHIN_MS = 5000;

/** Opens a session. Rejects with a sentence for people, or, where `signal` gives up, with its reason. */
export async function connect(endpoint: Endpoint, token: string, signal?: AbortSignal): Promise<Session> {
  signal?.throwIfAborted();
  const limit = AbortSignal.timeout(CONNECT_WITHIN_MS);
  const givenUp = signal ? AbortSignal.any([signal, limit]) : limit;
  // Made here, because only the transport knows why it was closed.
  const transport = new WebTransport(endpointUrl(endpoint, location.hostname, token), {
    protocols: VERSIONS,
    congestionControl: 'low-latency',
    ...(endpoint.certificate
      ? { serverCertificateHashes: [{ algorithm: 'sha-256', value: endpoint.certificate }] }
      : {}),
  });
  const ended = transport.closed.then(
    ({ reason }) => reason ?? '',
    // Lost, or closed below WebTransport: the browser keeps to itself what the server said.
    () => '',
  );
  try {
    await orAborted(transport.ready, givenUp);
    const connection = await Connection.connect(endpointUrl(endpoint, location.hostname, ''), {
      transport,
      signal: givenUp,
    });
    return { connection, ended };
  } catch (error) {
    transport.close();
    signal?.throwIfAborted();
    const why = limit.aborted ? 'no answer' : reasonOf(error);
    throw new Error(`UDP port ${endpoint.port} of this server gave no session (${why})`, { cause: error });
  }
}

/** The words of an error. */
function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\.$/, '');
}
