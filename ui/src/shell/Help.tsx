// The help sheet: every key that works here and now, as registered by the page that is open.

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { type Binding, bindings } from "../keys";
import { Glyph } from "./Glyph";

export const helpOpen = signal(false);

function groups(all: readonly Binding[]): [string, { label: string; keys: string[] }[]][] {
  const out = new Map<string, { label: string; keys: string[] }[]>();
  for (const binding of all) {
    if (binding.hidden) continue;
    const group = out.get(binding.group) ?? [];
    out.set(binding.group, group);
    const line = group.find((known) => known.label === binding.label);
    if (!line) group.push({ label: binding.label, keys: [binding.keys] });
    else if (!line.keys.includes(binding.keys)) line.keys.push(binding.keys);
  }
  return [...out];
}

const SHOWN: Record<string, string> = {
  ArrowUp: "↑",
  ArrowDown: "↓",
  ArrowLeft: "←",
  ArrowRight: "→",
  Escape: "Esc",
};

function Keys({ keys }: { keys: string }) {
  return (
    <>
      {keys.split(" ").map((key) => (
        <kbd key={key}>{key.replace(/[^+]+$/, (name) => SHOWN[name] ?? name)}</kbd>
      ))}
    </>
  );
}

export function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (helpOpen.value) dialog.current?.showModal();
    else dialog.current?.close();
  }, [helpOpen.value]);
  return (
    <dialog
      ref={dialog}
      aria-label="Keyboard"
      onClose={() => {
        helpOpen.value = false;
      }}
    >
      {helpOpen.value && (
        <>
          <header>
            <h2>Keyboard</h2>
            <span class="grow" />
            <button
              type="button"
              class="quiet icon"
              aria-label="Close"
              onClick={() => {
                helpOpen.value = false;
              }}
            >
              <Glyph name="close" />
            </button>
          </header>
          <div class="body sheet">
            {groups(bindings.value).map(([name, lines]) => (
              <section key={name}>
                <h3>{name}</h3>
                <dl>
                  {lines.map(({ label, keys }) => [
                    <dt key={`${label} keys`}>
                      {keys.map((key, at) => (
                        <>
                          {at > 0 && " "}
                          <Keys keys={key} />
                        </>
                      ))}
                    </dt>,
                    <dd key={label}>{label}</dd>,
                  ])}
                </dl>
              </section>
            ))}
          </div>
        </>
      )}
    </dialog>
  );
}
