// Lets play who comes from one of the addresses of the settings: { allow: ['127.0.0.', '192.0.2.7'] }. Whole addresses, or beginnings of
// them. Everybody may publish, as far as this plugin is asked.

import { Counter } from 'millrace:plugin/metrics@0.2.1';

// Viewers that were turned away. Opened with the first.
let denied;

export const about = {
  describe(json, description) {
    // Settings that are refused here never reach an instance.
    parse(json);
    description.setSummary('Lets play who comes from a list of addresses');
  },
};

export const access = {
  authorize(attempt, answer) {
    if (attempt.action() !== 'play') return answer.allow();
    const address = attempt.address();
    const listed = (entry) =>
      entry.endsWith('.') || entry.endsWith(':') ? address.startsWith(entry) : address === entry;
    if (parse(attempt.settings()).allow.some(listed)) {
      // Not asked again for ten minutes.
      answer.setExpiry(600);
      return answer.allow();
    }
    denied ??= Counter.open('denied', {}, []);
    denied.add(1n);
    answer.deny(`viewers from ${address} may not play here`);
  },
};

function parse(json) {
  const settings = JSON.parse(json);
  const { allow } = settings;
  if (!Array.isArray(allow) || !allow.every((entry) => typeof entry === 'string')) {
    throw { tag: 'invalid', val: `allow is ${JSON.stringify(allow)}, and must be a list of addresses` };
  }
  return settings;
}
