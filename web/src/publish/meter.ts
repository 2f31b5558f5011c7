/** How fast something grows. A value without a clock: times in seconds come as arguments. */

const OVER = 2;

export class Meter {
  #samples: { at: number; value: number }[] = [];

  /** Takes what it has come to, and gives the growth a second lately; `null` before there is any to speak of. */
  rate(now: number, value: number): number | null {
    this.#samples.push({ at: now, value });
    while (this.#samples.length > 2 && now - (this.#samples[0]?.at ?? now) > OVER) this.#samples.shift();
    const first = this.#samples[0];
    if (!first || now - first.at < OVER / 4) return null;
    return (value - first.value) / (now - first.at);
  }

  restart(): void {
    this.#samples = [];
  }
}
