// Measures the GOPs of each video track, and raises an alarm while they are longer than `max_gop_seconds` of the settings.

import { write as log } from 'millrace:plugin/log@0.2.1';
import { Gops } from './gops.js';
import { parseSettings } from './settings.js';

// What the operator asked for. Set by `start`.
let settings;
// The track that is measured. An instance with the scope `track` has one track at a time.
let gops;

export const about = {
  describe(json, description) {
    // Settings that are refused here never reach an instance.
    parseSettings(json);
    description.want('transcoder', 'video');
    description.setScope('transcoder', 'track');
    description.setSummary('Measures GOPs, and raises an alarm while they are too long');
  },
};

export const transcoder = {
  start(context) {
    settings = parseSettings(context.settings());
    log('info', `watching ${context.broadcast()} for GOPs longer than ${settings.maxGopSeconds} s`);
  },

  onTrack(track) {
    // A source that has changed comes again: its metrics are opened anew.
    close();
    gops = new Gops(track.timescale(), settings);
    return 'accept';
  },

  onFragment(fragment) {
    if (!gops) throw { tag: 'closed' };
    gops.add(fragment.info());
  },

  onGap(loss) {
    log('debug', `${loss.skipped()} fragments are missing: ${loss.cause()}`);
    gops?.forgetGroup();
  },

  onTrackEnd(track, why) {
    close();
  },

  stop(why) {},
};

// Ends the measurement of the track, where there is one.
function close() {
  gops?.close();
  gops = undefined;
}
