// A button with something that opens below it; closes on Escape, on a click elsewhere and when the focus leaves.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

interface Props {
  label: ComponentChildren;
  /** As tooltip, and for screen readers if `name` is not given. */
  title: string;
  /** For screen readers; has what is seen on the button in it. */
  name?: string;
  class?: string;
  popClass?: string;
  left?: boolean;
  /** Told when it opens or closes. */
  onToggle?: (open: boolean) => void;
  children: (close: () => void) => ComponentChildren;
}

export function Popover({ label, title, name, class: buttonClass, popClass, left, onToggle, children }: Props) {
  const [open, setOpen] = useState(false);
  const anchor = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const change = (next: boolean) => {
    setOpen(next);
    onToggle?.(next);
  };
  const close = () => {
    change(false);
    button.current?.focus();
  };
  useEffect(() => {
    if (!open) return;
    const outside = (event: Event) => {
      if (event.target instanceof Node && !anchor.current?.contains(event.target)) change(false);
    };
    document.addEventListener("pointerdown", outside);
    document.addEventListener("focusin", outside);
    const first = anchor.current?.querySelector<HTMLElement>(".pop [autofocus], .pop button, .pop a, .pop input");
    first?.focus();
    return () => {
      document.removeEventListener("pointerdown", outside);
      document.removeEventListener("focusin", outside);
    };
  }, [open]);
  const onKeyDown = (event: KeyboardEvent) => {
    if (!open) return;
    if (event.key === "Escape") {
      event.stopPropagation();
      event.preventDefault();
      close();
    }
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (event.target instanceof HTMLInputElement) return;
      const items = [...(anchor.current?.querySelectorAll<HTMLElement>(".menu button, .menu a") ?? [])];
      const at = items.indexOf(document.activeElement as HTMLElement);
      if (items.length === 0) return;
      event.preventDefault();
      items[(at + (event.key === "ArrowDown" ? 1 : items.length - 1)) % items.length]?.focus();
    }
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: it only hears what bubbles up from the button and its menu
    <div class="pop-anchor" ref={anchor} onKeyDown={onKeyDown}>
      <button
        ref={button}
        type="button"
        class={buttonClass}
        title={title}
        aria-label={name ?? title}
        aria-expanded={open}
        onClick={() => change(!open)}
      >
        {label}
      </button>
      {open && <div class={`pop ${left ? "left" : ""} ${popClass ?? ""}`}>{children(close)}</div>}
    </div>
  );
}
