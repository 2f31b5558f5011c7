/** What encoders give, and where it goes. */

/** An encoded frame. */
export interface Encoded {
  payload: Uint8Array<ArrayBuffer>;
  /** Microseconds, on a clock that pictures and sound share. */
  timestamp: number;
  /** Whether a new group may begin with it. */
  key: boolean;
}

export type Send = (frame: Encoded) => void;

/** The clock that frames are stamped with when they come from their devices: microseconds. */
export function stamp(): number {
  return Math.round(performance.now() * 1000);
}
