// What the frame knows of the server: tenancy, demo, version. Asked once and when the tenant changes.

import { signal } from "@preact/signals";
import { json } from "../api";
import type { Status, Tenants } from "../api-types";

export const tenants = signal<Tenants>({ tenancy: false, tenants: [] });
export const serverStatus = signal<Status | undefined>(undefined);

/** Failures are left to the pages: the frame works without these facts. */
export async function learn(): Promise<void> {
  await Promise.allSettled([
    json<Tenants>("api/v1/tenants").then((found) => {
      tenants.value = found;
    }),
    json<Status>("api/v1/status").then((found) => {
      serverStatus.value = found;
    }),
  ]);
}
