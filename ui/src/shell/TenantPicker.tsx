// Whose spans are shown. Hidden while tenancy is off.

import { useState } from "preact/hooks";
import { setParams, tenant } from "../state";
import { Glyph } from "./Glyph";
import { Popover } from "./Popover";
import { serverStatus, tenants } from "./server";

export function TenantPicker() {
  const { tenancy, tenants: names } = tenants.value;
  const [typed, setTyped] = useState("");
  // With the demo, who names no tenant sees the demo's spans and his own.
  const shown = tenant.value || (serverStatus.value?.demo ? "Demo and yours" : "Choose a tenant");
  if (!tenancy && tenant.value === "") return null;
  return (
    <Popover
      title="Tenant"
      name={`Tenant: ${shown}`}
      label={
        <>
          <Glyph name="tenant" />
          <span class="clip tenant-name">{shown}</span>
          <Glyph name="down" />
        </>
      }
    >
      {(close) => {
        const choose = (name: string) => {
          setParams({ tenant: name });
          close();
        };
        return (
          <div class="menu">
            {names.map((name) => (
              <button key={name} type="button" aria-pressed={name === tenant.value} onClick={() => choose(name)}>
                {name}
              </button>
            ))}
            <form
              onSubmit={(event) => {
                event.preventDefault();
                choose(typed.trim());
              }}
            >
              <input
                type="text"
                aria-label="Name of another tenant"
                placeholder="another name"
                value={typed}
                onInput={(event) => setTyped(event.currentTarget.value)}
              />
            </form>
          </div>
        );
      }}
    </Popover>
  );
}
