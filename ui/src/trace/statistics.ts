// Operations put together by service or kind. Adds up what the server counted; counts nothing itself.
import type { Diagnosis } from "../api-types";

export type GroupBy = "operation" | "service" | "kind";

export interface GroupRow {
  label: string;
  service: string;
  name: string;
  kind: string;
  count: number;
  errors: number;
  totalNanos: number;
  selfNanos: number;
  pathNanos: number;
  maxNanos: number;
}

export function groupOperations(operations: Diagnosis["operations"], by: GroupBy): GroupRow[] {
  const rows = new Map<string, GroupRow>();
  for (const operation of operations) {
    const { service, name, kind } = operation;
    const label = by === "service" ? service : by === "kind" ? kind : `${service} ${name} ${kind}`;
    const row = rows.get(label);
    if (!row) {
      rows.set(label, { ...operation, label, service: by === "kind" ? "" : service });
      continue;
    }
    row.count += operation.count;
    row.errors += operation.errors;
    row.totalNanos += operation.totalNanos;
    row.selfNanos += operation.selfNanos;
    row.pathNanos += operation.pathNanos;
    row.maxNanos = Math.max(row.maxNanos, operation.maxNanos);
  }
  return [...rows.values()];
}
