/** What a broadcast is played over, and what the viewer chose last. */

export type Protocol = 'moq' | 'hls';

const KEY = 'millrace.protocol';

/** The viewer's choice, kept by the browser where it keeps anything. */
export const remembered = {
  read(): Protocol {
    try {
      return localStorage.getItem(KEY) === 'hls' ? 'hls' : 'moq';
    } catch {
      return 'moq'; // Storage is closed to this page.
    }
  },
  write(protocol: Protocol): void {
    try {
      localStorage.setItem(KEY, protocol);
    } catch {
      // It holds for this page, then.
    }
  },
};
