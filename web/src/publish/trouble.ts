/** What went wrong with publishing, and what to do about it, in a sentence or two for people. */

/** An error whose message is for people. */
export class Trouble extends Error {}

/** Says what an error of `getUserMedia` means. */
export function troubleWithDevices(error: unknown): Trouble {
  const name = error instanceof DOMException ? error.name : '';
  const words: Record<string, string> = {
    NotAllowedError:
      'The browser was not allowed to use the camera or the microphone. Allow it in the settings beside the address, then press Start again.',
    NotFoundError:
      'There is no such camera or microphone. Plug one in, or choose “None” for what you do not need.',
    NotReadableError:
      'The camera or the microphone is in use by another program. Close that one, then press Start again.',
    OverconstrainedError: 'The chosen device is no longer there. Choose another one.',
  };
  return new Trouble(words[name] ?? `The camera and the microphone cannot be used: ${String(error)}`, {
    cause: error,
  });
}

/** What this browser lacks to publish, as a sentence; `null` where it can. */
export function lacking(has: (name: string) => boolean, isSecure: boolean): string | null {
  if (!isSecure)
    return 'Browsers give cameras only to pages that came over HTTPS or from this machine. Open this page at an https:// address.';
  const missing = ['WebTransport', 'VideoEncoder', 'AudioEncoder', 'MediaStreamTrackProcessor'].filter(
    (name) => !has(name),
  );
  if (missing.length === 0) return null;
  return `This browser has no ${missing.join(' and no ')}. Use a current Chromium, Chrome or Edge.`;
}

export const NO_ENDPOINT =
  'This server does not offer MoQ, which this page publishes over. Its configuration has to enable it.';

export function nameTaken(name: string): Trouble {
  return new Trouble(`${name} is on air already. Choose another name.`);
}

/** The server ends the session, or shows no interest, and does not say why. */
export function notTaken(name: string, hasToken: boolean): Trouble {
  return new Trouble(
    hasToken
      ? `The server does not take ${name}. The token may be wrong, or for other names.`
      : `The server does not take ${name}. It may ask for a token.`,
  );
}

/** The server ended the session; `reason` is its own word for why. */
export function refused(reason: string): Trouble {
  return new Trouble(
    `The server ended the session: ${reason}. Check the token and the name, or ask whoever runs the server.`,
  );
}
