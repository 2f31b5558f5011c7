/** Boxes of ISO BMFF (ISO/IEC 14496-12, 4.2). What comes is not trusted: a size that does not fit throws. */

/** A box's content. */
export type Bytes = Uint8Array<ArrayBufferLike>;

export function view(bytes: Bytes): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The boxes that follow each other in `bytes`: type, content, and where the box begins. */
export function* boxes(bytes: Bytes): Generator<{ type: string; content: Bytes; at: number }> {
  const data = view(bytes);
  let at = 0;
  while (at + 8 <= bytes.length) {
    let size = data.getUint32(at);
    let header = 8;
    if (size === 1 && at + 16 <= bytes.length) {
      size = Number(data.getBigUint64(at + 8));
      header = 16;
    } else if (size === 0) size = bytes.length - at;
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (size < header || at + size > bytes.length)
      throw new Error(`box ${type} of ${size} bytes where ${bytes.length - at} are left`);
    yield { type, content: bytes.subarray(at + header, at + size), at };
    at += size;
  }
}

/** The content of the first box at a path such as `moov/trak`; `null` where there is none. */
export function find(bytes: Bytes, path: string): Bytes | null {
  let inside: Bytes = bytes;
  for (const type of path.split('/')) {
    let found: Bytes | null = null;
    for (const box of boxes(inside)) {
      if (box.type !== type) continue;
      found = box.content;
      break;
    }
    if (!found) return null;
    inside = found;
  }
  return inside;
}
