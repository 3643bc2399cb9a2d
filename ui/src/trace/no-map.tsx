// Stands for the map in the viewer of saved traces, which has no file for a worker.

export const HAS_MAP = false;

export function TraceMap() {
  return null;
}
