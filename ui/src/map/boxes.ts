// Boxes and lines of a map as numbers: what the worker that lays them out is asked, and what it answers.

export const NODE_WIDTH = 168;
export const NODE_HEIGHT = 46;

export interface Point {
  x: number;
  y: number;
}

/** Who calls whom, by number. */
export interface Asked {
  nodes: number;
  edges: [number, number][];
  /** From left to right, or downwards. */
  across: boolean;
  /** Width that the words on each line need; 0 for lines without words. */
  words: number;
}

export interface Places {
  width: number;
  height: number;
  /** Middles. */
  nodes: Point[];
  /** None for a service that calls itself: that is told in its box. */
  edges: Point[][];
  /** Where the words on each line go. */
  words: Point[];
}

/** A line through points as the path of an SVG: corners are rounded by aiming at the middle between one and the next. */
export function curve(points: readonly Point[]): string {
  const [first, ...rest] = points;
  if (!first) return "";
  let out = `M${first.x.toFixed(1)} ${first.y.toFixed(1)}`;
  rest.forEach((point, at) => {
    const next = rest[at + 1];
    if (next)
      out += `Q${point.x.toFixed(1)} ${point.y.toFixed(1)} ${((point.x + next.x) / 2).toFixed(1)} ${((point.y + next.y) / 2).toFixed(1)}`;
    else out += `L${point.x.toFixed(1)} ${point.y.toFixed(1)}`;
  });
  return out;
}

/** How far a map is made smaller to fit; what is still too wide can be scrolled. */
const LEAST_SCALE = 0.7;

export function fitting(width: number): { maxWidth: string; minWidth: string; height: string } {
  return { maxWidth: "100%", minWidth: `${Math.round(width * LEAST_SCALE)}px`, height: "auto" };
}

/** Width of small words on a line, roughly: enough to leave room for them. */
export function widthOf(words: string): number {
  return words.length * 5.9 + 8;
}

/** Width of a line, from 1 to 4, by its share of the calls. */
export function weight(calls: number, most: number): number {
  return Math.max(1, Math.ceil((Math.log1p(calls) / Math.log1p(Math.max(1, most))) * 4));
}
