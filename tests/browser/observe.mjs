// What is run inside the page. Each function stands for itself: it is sent there as text.

/** What the player measures, and what the element has decoded. */
export function observe() {
  const { video } = window.millrace;
  const { errors, ...stats } = window.millrace.stats();
  return {
    ...stats,
    fatal: errors.filter(({ fatal }) => fatal),
    at: performance.now(),
    width: video.videoWidth,
    height: video.videoHeight,
    audioBytes: video.webkitAudioDecodedByteCount,
    videoBytes: video.webkitVideoDecodedByteCount,
  };
}

/**
 * Reads the row of 32 black and white blocks at the foot of the picture, the low bits of the milliseconds since 1970, from `times`
 * pictures as they are shown. Gives how long ago each was painted, in milliseconds.
 */
export async function clock(times) {
  const { video } = window.millrace;
  const canvas = new OffscreenCanvas(320, 1);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const latencies = [];
  while (latencies.length < times) {
    await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
    const now = Date.now();
    context.drawImage(video, 0, Math.floor(video.videoHeight * 0.96), video.videoWidth, 1, 0, 0, 320, 1);
    const { data } = context.getImageData(0, 0, 320, 1);
    let painted = 0;
    for (let bit = 0; bit < 32; bit++) painted = painted * 2 + (data[(bit * 10 + 5) * 4 + 1] > 128 ? 1 : 0);
    latencies.push((now % 2 ** 32) - painted);
  }
  return latencies;
}

/** Mean and standard deviation of a PNG's brightness, 0 to 255. */
export async function look(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  let [sum, squares] = [0, 0];
  for (let i = 0; i < data.length; i += 4) {
    const light = 0.2126 * data[i] + 0.7152 * data[i + 1] + 0.0722 * data[i + 2];
    sum += light;
    squares += light * light;
  }
  const count = data.length / 4;
  const mean = sum / count;
  return {
    width: image.width,
    height: image.height,
    mean,
    deviation: Math.sqrt(squares / count - mean * mean),
  };
}
