// The help sheet: every key that works here and now, as registered by the page that is open.

import { signal } from "@preact/signals";
import { Fragment } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { type Binding, bindings, canChange, changeKeys, keysOf, nameOf } from "../keys";
import { Glyph } from "./Glyph";

export const helpOpen = signal(false);

interface Line {
  label: string;
  bindings: Binding[];
}

function groups(all: readonly Binding[]): [string, Line[]][] {
  const out = new Map<string, Line[]>();
  for (const [at, binding] of all.entries()) {
    // A key that means something else here is listed for what it does here.
    const isTaken = all.some((other, later) => later > at && keysOf(other) === keysOf(binding));
    if (binding.hidden || isTaken) continue;
    const group = out.get(binding.group) ?? [];
    out.set(binding.group, group);
    const line = group.find((known) => known.label === binding.label);
    if (!line) group.push({ label: binding.label, bindings: [binding] });
    else if (line.bindings.every((known) => known.keys !== binding.keys)) line.bindings.push(binding);
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

/** The keys of a binding; while they are being changed a button that waits for another one. */
function Change({ binding }: { binding: Binding }) {
  const [isWaiting, setWaiting] = useState(false);
  if (!canChange(binding)) return <Keys keys={keysOf(binding)} />;
  return (
    <button
      type="button"
      class="quiet small key-change"
      aria-label={`Keys for ${binding.label}: ${keysOf(binding)}. Choose others`}
      onClick={() => setWaiting(true)}
      onBlur={() => setWaiting(false)}
      onKeyDown={(event) => {
        if (!isWaiting || /^(Shift|Control|Alt|Meta|Tab)$/.test(event.key)) return;
        event.preventDefault();
        event.stopPropagation();
        setWaiting(false);
        if (event.key === "Escape") return;
        changeKeys(binding, event.key === "Backspace" || event.key === "Delete" ? undefined : nameOf(event));
      }}
    >
      {isWaiting ? "press a key" : <Keys keys={keysOf(binding)} />}
    </button>
  );
}

export function Help() {
  const [isChanging, setChanging] = useState(false);
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
        setChanging(false);
      }}
    >
      {helpOpen.value && (
        <>
          <header>
            <h2>Keyboard</h2>
            <span class="grow" />
            {isChanging && <span class="muted">Choose keys, then press another. Backspace: as it was.</span>}
            <button type="button" class="small" aria-pressed={isChanging} onClick={() => setChanging(!isChanging)}>
              Change keys
            </button>
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
                  {lines.map(({ label, bindings: all }) => [
                    <dt key={`${label} keys`}>
                      {all.map((binding, at) => (
                        <Fragment key={binding.keys}>
                          {at > 0 && " "}
                          {isChanging ? <Change binding={binding} /> : <Keys keys={keysOf(binding)} />}
                        </Fragment>
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
