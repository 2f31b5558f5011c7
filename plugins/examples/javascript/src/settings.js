// The plugin's part of the configuration.

// Longest GOP without an alarm, in seconds, where the settings do not say.
const MAX_GOP_SECONDS = 4;

// Reads the settings from a JSON object. Throws `invalid` where `max_gop_seconds` is not a positive number.
export function parseSettings(json) {
  const { max_gop_seconds: maxGopSeconds = MAX_GOP_SECONDS } = JSON.parse(json);
  if (!Number.isFinite(maxGopSeconds) || maxGopSeconds <= 0) {
    const given = JSON.stringify(maxGopSeconds);
    // An object with a tag is an error of the contract. Anything else that is thrown ends the instance.
    throw { tag: 'invalid', val: `max_gop_seconds is ${given}, and must be a positive number of seconds` };
  }
  return { maxGopSeconds };
}
