// Spans as they arrive: the stream, and a bounded list of the newest.

import { useEffect, useRef, useState } from "preact/hooks";
import { apiUrl } from "../api";
import type { TailProgress, TailSpan } from "../api-types";

/** Rows that are kept. */
export const MOST_ROWS = 300;

export interface Tail {
  rows: TailSpan[];
  state: "connecting" | "open" | "lost" | "paused";
  progress: TailProgress | undefined;
  /** What the server could not do, in its words; empty if nothing. */
  fault: string;
  /** Spans that came since the stream was opened. */
  received: number;
  clear: () => void;
}

/** Listens while `on`; the browser connects again by itself after a loss. */
export function useTail(q: string, tenant: string, on: boolean): Tail {
  const [rows, setRows] = useState<TailSpan[]>([]);
  const [state, setState] = useState<Tail["state"]>("connecting");
  const [progress, setProgress] = useState<TailProgress | undefined>();
  const [fault, setFault] = useState("");
  const received = useRef(0);
  useEffect(() => {
    setRows([]);
    received.current = 0;
    setProgress(undefined);
    setFault("");
  }, [q, tenant]);
  useEffect(() => {
    if (!on) {
      setState("paused");
      return;
    }
    setState("connecting");
    const source = new EventSource(apiUrl("api/v1/tail", { q: q || "{ }", tenant: tenant || undefined }));
    let fresh: TailSpan[] = [];
    let frame = 0;
    const show = () => {
      frame = 0;
      const added = fresh.reverse();
      fresh = [];
      setRows((old) => [...added, ...old].slice(0, MOST_ROWS));
    };
    source.addEventListener("open", () => setState("open"));
    source.addEventListener("error", (event) => {
      // The server's own events of this name carry a sentence; the browser's say that the connection broke.
      if (event instanceof MessageEvent && typeof event.data === "string") setFault(event.data);
      else setState("lost");
    });
    source.addEventListener("span", (event) => {
      received.current++;
      fresh.push(JSON.parse((event as MessageEvent<string>).data) as TailSpan);
      if (frame === 0) frame = requestAnimationFrame(show);
    });
    source.addEventListener("progress", (event) => {
      setProgress(JSON.parse((event as MessageEvent<string>).data) as TailProgress);
    });
    return () => {
      source.close();
      cancelAnimationFrame(frame);
    };
  }, [q, tenant, on]);
  return { rows, state, progress, fault, received: received.current, clear: () => setRows([]) };
}
