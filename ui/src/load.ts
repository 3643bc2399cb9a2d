// Data of a page: loads when what it depends on changes, aborts what is no longer wanted, keeps the last data on failure.

import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, isAbort } from "./api";

export interface Loaded<T> {
  data: T | undefined;
  error: unknown;
  loading: boolean;
  /** Loads again at once. */
  reload: () => void;
}

/** Waits between attempts when the server is away, in milliseconds. */
const BACK_OFF = [1_000, 2_000, 5_000, 10_000, 30_000];

/** Calls `fetcher` now and whenever one of `on` changes. `undefined` instead of a fetcher loads nothing.
 * A server that is away is asked again with growing waits; other failures stand until something changes. */
export function useLoad<T>(
  fetcher: ((signal: AbortSignal) => Promise<T>) | undefined,
  on: readonly unknown[],
): Loaded<T> {
  const [state, setState] = useState<{ data: T | undefined; error: unknown; loading: boolean }>({
    data: undefined,
    error: undefined,
    loading: fetcher !== undefined,
  });
  const [round, setRound] = useState(0);
  const failures = useRef(0);
  useEffect(() => {
    if (!fetcher) {
      setState({ data: undefined, error: undefined, loading: false });
      return;
    }
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    setState((old) => ({ ...old, loading: true }));
    fetcher(abort.signal).then(
      (data) => {
        if (abort.signal.aborted) return;
        failures.current = 0;
        setState({ data, error: undefined, loading: false });
      },
      (error) => {
        if (abort.signal.aborted || isAbort(error)) return;
        setState((old) => ({ data: old.data, error, loading: false }));
        if (error instanceof ApiError && (error.trouble === "offline" || error.trouble === "unavailable")) {
          const wait = BACK_OFF[Math.min(failures.current++, BACK_OFF.length - 1)] ?? 30_000;
          timer = setTimeout(() => setRound((n) => n + 1), wait);
        }
      },
    );
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [...on, round]);
  return { ...state, reload: () => setRound((n) => n + 1) };
}
