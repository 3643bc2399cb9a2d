// One .html file with the viewer and one trace inside: opens from disk, connects to nothing.
import type { OpenedTrace } from "../api-types";

/** Where the viewer reads the trace from. */
export const DATA_ID = "trace";

/** `viewer` and `style` are the built files; the trace's text cannot end its element, whatever it says. */
export function singleFile(title: string, viewer: string, style: string, trace: OpenedTrace): string {
  const nonce = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("");
  const policy = `default-src 'none'; script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'; img-src data:; base-uri 'none'; form-action 'none'`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark light">
<title>${markup(title)}</title>
<style nonce="${nonce}">${style.replace(/<\/style/gi, "<\\/style")}</style>
</head>
<body>
<div id="app"></div>
<script type="application/json" id="${DATA_ID}">${inlined(trace)}</script>
<script nonce="${nonce}">${viewer.replace(/<\/script/gi, "<\\/script").replace(/<!--/g, "<\\!--")}</script>
</body>
</html>
`;
}

function inlined(value: unknown): string {
  return JSON.stringify(value)
    .replace(/</g, "\\u003c")
    .replace(/\u2028/g, "\\u2028")
    .replace(/\u2029/g, "\\u2029");
}

function markup(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}
