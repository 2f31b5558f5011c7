/** How long to wait before asking again. Pure functions; the callers own the timers. Milliseconds. */

const POLL_MS = 2000;
const POLL_HIDDEN_MS = 15_000;
const POLL_MAX_MS = 30_000;
const REOPEN_FIRST_MS = 500;
const REOPEN_MAX_MS = 8000;

/** Time to the next poll of the list: slower in a hidden tab, and after each failure in a row. */
export function pollDelay(hidden: boolean, failures: number): number {
  const base = hidden ? POLL_HIDDEN_MS : POLL_MS;
  return Math.min(base * 2 ** Math.max(0, failures - 1), POLL_MAX_MS);
}

/** Time before the stream is opened again, for the first attempt (0) and those after it. */
export function reopenDelay(attempt: number): number {
  return Math.min(REOPEN_FIRST_MS * 2 ** Math.max(0, attempt), REOPEN_MAX_MS);
}
