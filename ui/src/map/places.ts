// Asks the worker where the boxes of a map go. One worker for the page, started when the first map is drawn.

import { useEffect, useState } from "preact/hooks";
import type { Asked, Places } from "./boxes";

let worker: Worker | undefined;
let asked = 0;

function ask(what: Asked, tell: (places: Places | undefined) => void): () => void {
  const id = ++asked;
  worker ??= new Worker(new URL("./layout-worker.ts", import.meta.url), { type: "module", name: "layout" });
  const mine = worker;
  const heard = ({ data }: MessageEvent<{ id: number; places: Places }>): void => {
    if (data.id === id) tell(data.places);
  };
  const failed = (): void => {
    // The next map starts another one.
    mine.terminate();
    if (worker === mine) worker = undefined;
    tell(undefined);
  };
  mine.addEventListener("message", heard);
  mine.addEventListener("error", failed);
  mine.postMessage({ id, asked: what });
  return () => {
    mine.removeEventListener("message", heard);
    mine.removeEventListener("error", failed);
  };
}

/** The places of named boxes and of the lines between them; `failed` where the browser starts no worker. */
export function usePlaces(
  names: readonly string[],
  edges: readonly (readonly [string, string])[],
  across: boolean,
  words: number,
): { places: Places | undefined; failed: boolean; shape: string } {
  const [state, setState] = useState<{ places?: Places; shape?: string; failed: boolean }>({ failed: false });
  const shape = JSON.stringify([names, edges, across, words]);
  useEffect(() => {
    const number = new Map(names.map((name, at) => [name, at]));
    const pairs = edges.map(([from, to]): [number, number] => [number.get(from) ?? 0, number.get(to) ?? 0]);
    try {
      return ask({ nodes: names.length, edges: pairs, across, words }, (places) =>
        setState({ places, shape, failed: places === undefined }),
      );
    } catch {
      setState({ failed: true });
    }
  }, [shape]);
  // Places of another picture are of no use to this one.
  return { places: state.shape === shape ? state.places : undefined, failed: state.failed, shape };
}
