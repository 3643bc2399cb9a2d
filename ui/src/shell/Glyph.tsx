// Icons, drawn inline: sixteen units square, one stroke.

const PATHS: Record<string, string> = {
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zM11 11l3.5 3.5",
  clock: "M8 14.5A6.5 6.5 0 1 0 8 1.5a6.5 6.5 0 0 0 0 13zM8 4.5V8l2.5 1.5",
  down: "M4 6l4 4 4-4",
  up: "M4 10l4-4 4 4",
  right: "M6 4l4 4-4 4",
  left: "M10 4L6 8l4 4",
  close: "M4 4l8 8M12 4l-8 8",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  copy: "M5.5 5.5V2.5h8v8h-3M2.5 5.5h8v8h-8z",
  share: "M6.5 9.5l5-5M8.5 4h3.5v3.5M12 9.5v3.5H3V4h3.5",
  link: "M6.5 9.5l3-3M7 4.5l1.2-1.2a3 3 0 0 1 4.3 4.3L11.3 8.8M9 11.5l-1.2 1.2a3 3 0 0 1-4.3-4.3L4.7 7.2",
  filter: "M2 3h12l-4.5 5.5V13l-3-1.5v-3z",
  warning: "M8 2L1.5 13.5h13zM8 6.5v3M8 11.6v.1",
  info: "M8 14.5A6.5 6.5 0 1 0 8 1.5a6.5 6.5 0 0 0 0 13zM8 7.2V11M8 4.9V5",
  error: "M8 14.5A6.5 6.5 0 1 0 8 1.5a6.5 6.5 0 0 0 0 13zM8 4.6v4M8 11V11.1",
  check: "M3 8.5l3.2 3.2L13 5",
  refresh: "M13.5 8a5.5 5.5 0 1 1-1.7-4M13.5 1.8v2.7h-2.7",
  stop: "M4 4h8v8H4z",
  play: "M5 3l8 5-8 5z",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1.1 1.1M11.9 11.9L13 13M13 3l-1.1 1.1M4.1 11.9L3 13",
  moon: "M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z",
  system: "M2 3h12v8H2zM5.5 13.5h5",
  help: "M8 14.5A6.5 6.5 0 1 0 8 1.5a6.5 6.5 0 0 0 0 13zM6 6.3a2 2 0 1 1 2.7 2c-.5.2-.7.6-.7 1.1M8 11.4v.1",
  file: "M4 1.5h5l3 3v10H4zM9 1.5v3h3",
  columns: "M2 3h12v10H2zM6.5 3v10M10.5 3v10",
  tenant: "M2.5 13.5v-10h6v10M8.5 6.5h5v7M1.5 13.5h13M5 6.5h1M5 9.5h1",
  pin: "M5.5 2h5M6.5 2v4.5L4.5 9h7L9.5 6.5V2M8 9v5",
  flow: "M2 5h4v3H2zM10 2.5h4v3h-4zM10 10.5h4v3h-4zM6 6.5c2 0 2-2.5 4-2.5M6 6.5c2 0 2 5.5 4 5.5",
};

/** An icon. It says nothing to screen readers: whatever holds it has a label. */
export function Glyph({ name }: { name: keyof typeof PATHS | string }) {
  return (
    <svg class="glyph" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name] ?? ""} />
    </svg>
  );
}
