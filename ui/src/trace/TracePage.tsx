// The page of one trace of the server.
import { useMemo } from "preact/hooks";
import { param, refreshed } from "../state";
import { addressState } from "./address";
import { serverSource } from "./server-source";
import { TraceView } from "./TraceView";

export default function TracePage({ id }: { id: string }) {
  const source = useMemo(
    () => serverSource(id, { start: param("start") || undefined, end: param("end") || undefined }),
    [id, refreshed.value],
  );
  return <TraceView source={source} state={addressState} />;
}
