// The GOPs of one track, and the metrics and the alarm made of them.

import { Alarm, Counter, Gauge, Histogram } from 'millrace:plugin/metrics@0.2.1';

// Upper bounds of the sizes of fragments, in bytes.
const FRAGMENT_BYTES = [1e3, 4e3, 16e3, 64e3, 256e3, 1e6, 4e6];

export class Gops {
  // The group in progress: there is none before the first, and after a gap. Its times are BigInts, in ticks.
  #group;
  #alarmRaised = false;

  constructor(timescale, settings) {
    this.timescale = timescale;
    this.settings = settings;
    const by = { broadcast: true, track: true };
    this.groups = Counter.open('groups', by, []);
    this.gopSeconds = Gauge.open('gop_seconds', by, []);
    this.bitrate = Gauge.open('bitrate_bps', by, []);
    this.fragmentBytes = Histogram.open('fragment_bytes', by, [], FRAGMENT_BYTES);
    this.longGop = Alarm.open('long_gop');
  }

  // Takes the next fragment. The first fragment of a group ends the group before it.
  add(fragment) {
    this.fragmentBytes.observe(fragment.size);
    if (this.#group && this.#group.number !== fragment.group) {
      this.#count();
      this.#group = undefined;
    }
    this.#group ??= { number: fragment.group, start: fragment.decodeTime, end: fragment.decodeTime, size: 0 };
    this.#group.end = fragment.decodeTime + fragment.duration;
    this.#group.size += fragment.size;
    // The alarm does not wait for the end of a group: it may never come.
    if (this.#seconds() > this.settings.maxGopSeconds && !this.#alarmRaised) {
      this.longGop.raise(`a GOP is longer than ${this.settings.maxGopSeconds} s`);
      this.#alarmRaised = true;
    }
  }

  // Forgets the group in progress: after a gap its length is not known.
  forgetGroup() {
    this.#group = undefined;
  }

  // Drops the handles. That takes the values of the gauges out and clears the alarm.
  close() {
    for (const handle of [this.groups, this.gopSeconds, this.bitrate, this.fragmentBytes, this.longGop]) {
      handle[Symbol.dispose]();
    }
  }

  // Counts the group in progress, which is complete.
  #count() {
    const seconds = this.#seconds();
    this.groups.add(1n);
    this.gopSeconds.set(seconds);
    if (seconds > 0) {
      this.bitrate.set((this.#group.size * 8) / seconds);
    }
    if (seconds <= this.settings.maxGopSeconds && this.#alarmRaised) {
      this.longGop.clear();
      this.#alarmRaised = false;
    }
  }

  // The length of the group in progress so far.
  #seconds() {
    return Number(this.#group.end - this.#group.start) / this.timescale;
  }
}
