/** Numbers and codes in words for people. */

/** `0.41 s`, or a dash for what is not known. */
export function seconds(value: number | null): string {
  return value === null || !Number.isFinite(value) ? '–' : `${value.toFixed(2)} s`;
}

/** Bits per second as `2.5 Mb/s` or `640 kb/s`. */
export function bitrate(value: number | null): string {
  if (value === null || !Number.isFinite(value) || value <= 0) return '–';
  if (value >= 999_500) return `${(value / 1e6).toFixed(value >= 9.95e6 ? 0 : 1)} Mb/s`;
  return `${Math.round(value / 1000)} kb/s`;
}

/** Picture size as `1280×720`; empty for audio. */
export function size(width: number | null, height: number | null): string {
  return width && height ? `${width}×${height}` : '';
}

const CODECS: [RegExp, string][] = [
  [/^avc[13]/, 'H.264'],
  [/^(hvc|hev)1/, 'H.265'],
  [/^av01/, 'AV1'],
  [/^vp0?9/, 'VP9'],
  [/^mp4a\.40/, 'AAC'],
  [/^opus/i, 'Opus'],
  [/^flac/i, 'FLAC'],
  [/^ac-3/, 'AC-3'],
  [/^ec-3/, 'E-AC-3'],
];

/** The common name of an RFC 6381 codec string; the string itself where there is none. */
export function codecName(codec: string): string {
  return CODECS.find(([pattern]) => pattern.test(codec))?.[1] ?? codec;
}
