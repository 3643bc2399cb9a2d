// Text from traces is hostile: what cannot be seen is made visible, what would turn other text round is isolated, and
// only http and https become links. Nothing here makes markup; callers set text nodes.

import { safeLink } from "../format";

// Controls, what joins or hides, marks of direction, line separators, unpaired surrogates and tags.
const INVISIBLE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is made visible
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]|\udb40[\udc00-\udfff]/g;

function mark(found: string): string {
  const code = found.codePointAt(0) as number;
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
}

/** Text in which every character shows; tabs and line ends stay, the rest of the controls are written out. */
export function visible(text: string): string {
  return text.replace(/\r\n/g, "\n").replace(INVISIBLE, mark);
}

/** The same on one line. */
export function visibleLine(text: string): string {
  return visible(text).replace(/\n/g, "⏎").replace(/\t/g, "⇥");
}

/** Text up to `limit` characters, cut between whole code points; says whether it was cut. */
export function cut(text: string, limit: number): { text: string; isCut: boolean } {
  if (text.length <= limit) return { text, isCut: false };
  const last = text.charCodeAt(limit - 1);
  return { text: text.slice(0, last >= 0xd800 && last < 0xdc00 ? limit - 1 : limit), isCut: true };
}

/** The address when the whole text is one http or https address that shows what it is; nothing else is ever a link. */
export function linkOf(text: string): string | undefined {
  return visible(text) === text && !/[\s@]/.test(text) ? safeLink(text) : undefined;
}
