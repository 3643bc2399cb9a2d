// Lays out maps away from the page, so that nothing waits for it.

import type { Asked } from "./boxes";
import { place } from "./layout";

addEventListener("message", ({ data }: MessageEvent<{ id: number; asked: Asked }>) => {
  postMessage({ id: data.id, places: place(data.asked) });
});
