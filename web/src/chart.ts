/** A small line chart of the last minute: latency and buffer, drawn on a canvas. */

const SPAN_S = 60;
/** The scale's top never goes below this, in seconds, so that a steady stream looks steady. */
const LEAST_TOP = 1;

/** One moment; `null` leaves a gap. Seconds. */
export interface Point {
  at: number;
  latency: number | null;
  buffer: number | null;
}

/** The points of the last minute. */
export class History {
  points: Point[] = [];

  add(point: Point): void {
    this.points.push(point);
    this.points = this.points.filter(({ at }) => point.at - at <= SPAN_S);
  }

  clear(): void {
    this.points = [];
  }

  /** A round number of seconds that nothing in the chart exceeds. */
  top(): number {
    const most = this.points.reduce((max, p) => Math.max(max, p.latency ?? 0, p.buffer ?? 0), LEAST_TOP);
    const step = most <= 2 ? 0.5 : most <= 10 ? 2 : 10;
    return Math.ceil(most / step) * step;
  }
}

/** Draws the history as it stands at `now`, in the colours the page's style gives. */
export function draw(canvas: HTMLCanvasElement, history: History, now: number): void {
  const { clientWidth: width, clientHeight: height } = canvas;
  const context = canvas.getContext('2d');
  if (!context || width === 0) return;
  const density = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * density)) canvas.width = Math.round(width * density);
  if (canvas.height !== Math.round(height * density)) canvas.height = Math.round(height * density);
  context.setTransform(density, 0, 0, density, 0, 0);
  context.clearRect(0, 0, width, height);

  const style = getComputedStyle(canvas);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const top = history.top();
  const x = (at: number): number => width - ((now - at) / SPAN_S) * width;
  const y = (value: number): number => height - 1 - (value / top) * (height - 4);

  context.font = `11px ${style.fontFamily}`;
  context.lineWidth = 1;
  for (const value of [0, top / 2, top]) {
    context.strokeStyle = colour('--line');
    context.beginPath();
    context.moveTo(0, Math.round(y(value)) + 0.5);
    context.lineTo(width, Math.round(y(value)) + 0.5);
    context.stroke();
    context.fillStyle = colour('--quiet');
    if (value > 0) context.fillText(`${Number(value.toFixed(2))} s`, 2, y(value) + 12);
  }
  context.lineWidth = 1.6;
  context.lineJoin = 'round';
  for (const key of ['buffer', 'latency'] as const) {
    context.strokeStyle = colour(`--${key}`);
    context.beginPath();
    let drawing = false;
    for (const point of history.points) {
      const value = point[key];
      if (value !== null) context[drawing ? 'lineTo' : 'moveTo'](x(point.at), y(value));
      drawing = value !== null;
    }
    context.stroke();
  }
}
