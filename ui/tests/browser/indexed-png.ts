// Writes pictures with a palette, which takes a third of the room: the pictures of a page are checked in.

import { crc32, deflateSync } from "node:zlib";
import type { PNG } from "pngjs";

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const MOST_COLOURS = 256;
/** Steps in which shades are told apart, finest first; a comparison of pictures does not see the first. */
const STEPS = [16, 24, 32, 48, 64];

function chunk(type: string, data: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

/** The picture without transparency, in at most 256 colours. */
export function indexedPng({ width, height, data }: PNG): Buffer {
  for (const step of STEPS) {
    const palette = new Map<number, number>();
    const rows = Buffer.alloc((width + 1) * height);
    const shade = (value: number) => Math.min(255, Math.round(value / step) * step);
    for (let y = 0, from = 0, to = 0; y < height; y++) {
      // Each row begins with its filter: none, which suits a palette.
      rows[to++] = 0;
      for (let x = 0; x < width; x++, from += 4) {
        const colour = (shade(data[from]) << 16) | (shade(data[from + 1]) << 8) | shade(data[from + 2]);
        const known = palette.get(colour) ?? palette.size;
        palette.set(colour, known);
        rows[to++] = known;
      }
    }
    if (palette.size > MOST_COLOURS) continue;
    const header = Buffer.alloc(13);
    header.writeUInt32BE(width, 0);
    header.writeUInt32BE(height, 4);
    header.set([8, 3, 0, 0, 0], 8);
    const colours = Buffer.from(
      [...palette.keys()].flatMap((colour) => [colour >> 16, (colour >> 8) & 255, colour & 255]),
    );
    return Buffer.concat([
      SIGNATURE,
      chunk("IHDR", header),
      chunk("PLTE", colours),
      chunk("IDAT", deflateSync(rows, { level: 9 })),
      chunk("IEND", Buffer.alloc(0)),
    ]);
  }
  throw new Error("the picture has too many colours for a palette");
}
