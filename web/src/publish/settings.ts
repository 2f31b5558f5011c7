/** What to send, and how. */

export interface Settings {
  /** Name of the broadcast. */
  name: string;
  /** A device's id; empty for the usual one, `none` for none. */
  camera: string;
  microphone: string;
  /** Pixels. */
  height: number;
  /** Pictures a second. */
  framerate: number;
  /** Of the pictures, bits per second. */
  bitrate: number;
  token: string;
}

/** What devices are asked for. At least one is. */
export function constraintsFor({ camera, microphone, height, framerate }: Settings): MediaStreamConstraints {
  const device = (id: string): MediaTrackConstraints => (id === '' ? {} : { deviceId: { exact: id } });
  return {
    video: camera !== 'none' && {
      ...device(camera),
      // Even, as H.264 wants them: 854 for 480.
      width: { ideal: 2 * Math.round((height * 16) / 9 / 2) },
      height: { ideal: height },
      frameRate: { ideal: framerate },
    },
    audio: microphone !== 'none' && { ...device(microphone), channelCount: { ideal: 2 } },
  };
}

/** H.264 levels (ITU-T H.264, table A-1): the most macroblocks a picture and a second, and what the codec string calls them. */
const LEVELS: [picture: number, second: number, level: string][] = [
  [1620, 40_500, '1e'],
  [3600, 108_000, '1f'],
  [8192, 245_760, '28'],
  [8704, 522_240, '2a'],
  [36_864, 983_040, '33'],
];

/** The codec string of H.264 in constrained baseline, at the lowest level that holds such pictures. */
export function h264(width: number, height: number, framerate: number): string {
  const picture = Math.ceil(width / 16) * Math.ceil(height / 16);
  const level = LEVELS.find(([most, second]) => picture <= most && picture * framerate <= second);
  return `avc1.42e0${level?.[2] ?? '33'}`;
}
