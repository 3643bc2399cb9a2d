// Colours and fonts for canvases, from the page's tokens; and text cut to a width, measured once.
import { SERIES, theme, token } from "../../theme";

export interface Paint {
  font: string;
  bold: string;
  small: string;
  ground: string;
  surface: string;
  sunken: string;
  hover: string;
  selected: string;
  line: string;
  lineStrong: string;
  text: string;
  muted: string;
  faint: string;
  accent: string;
  accentSoft: string;
  error: string;
  errorSoft: string;
  warning: string;
  warningSoft: string;
  focus: string;
  path: string;
  halo: string;
  series: string[];
  isDark: boolean;
}

let made: Paint | null = null;
let madeFor = "";

/** Reading it subscribes to the theme. */
export function paint(): Paint {
  const now = theme.value;
  if (made && madeFor === now) return made;
  const family = token("font") || "system-ui, sans-serif";
  madeFor = now;
  made = {
    font: `12px ${family}`,
    bold: `600 12px ${family}`,
    small: `11px ${family}`,
    ground: token("ground"),
    surface: token("surface"),
    sunken: token("sunken"),
    hover: token("hover"),
    selected: token("selected"),
    line: token("line"),
    lineStrong: token("line-strong"),
    text: token("text"),
    muted: token("muted"),
    faint: token("faint"),
    accent: token("accent"),
    accentSoft: token("accent-soft"),
    error: token("error"),
    errorSoft: token("error-soft"),
    warning: token("warning"),
    warningSoft: token("warning-soft"),
    focus: token("focus"),
    path: token("path"),
    halo: token("path-halo"),
    series: Array.from({ length: SERIES }, (_, index) => token(`series-${index}`)),
    isDark: now === "dark",
  };
  return made;
}

const MAX_TEXTS = 20_000;

/** Widths and cut texts of one font. */
export class Texts {
  private readonly widths = new Map<string, number>();
  private readonly cuts = new Map<string, { width: number; text: string }>();

  constructor(private readonly font: string) {}

  width(context: CanvasRenderingContext2D, text: string): number {
    let width = this.widths.get(text);
    if (width === undefined) {
      if (this.widths.size > MAX_TEXTS) this.widths.clear();
      const kept = context.font;
      context.font = this.font;
      // Very long names are cut anyway; measuring them is slow.
      width = context.measureText(text.length > 400 ? text.slice(0, 400) : text).width;
      context.font = kept;
      this.widths.set(text, width);
    }
    return width;
  }

  /** The text, or its beginning with an ellipsis, in at most `room` pixels; empty when nothing fits. */
  fit(context: CanvasRenderingContext2D, text: string, room: number): string {
    if (room < 8) return "";
    if (this.width(context, text) <= room) return text.length > 400 ? text.slice(0, 400) : text;
    const known = this.cuts.get(text);
    if (known && known.width === room) return known.text;
    let low = 0;
    let high = Math.min(text.length, 400);
    const kept = context.font;
    context.font = this.font;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (context.measureText(`${text.slice(0, middle)}…`).width <= room) low = middle;
      else high = middle - 1;
    }
    context.font = kept;
    const cut = low === 0 ? "" : `${text.slice(0, low)}…`;
    if (this.cuts.size > MAX_TEXTS) this.cuts.clear();
    this.cuts.set(text, { width: room, text: cut });
    return cut;
  }
}
