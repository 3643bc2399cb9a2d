// Keys: sequences, case, and silence while one types.

import { expect, test } from "vitest";
import { type Binding, bindKeys, canChange, changeKeys, keysOf } from "./keys";

function press(key: string, more: KeyboardEventInit = {}, target: EventTarget = document.body) {
  target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
}

test("sequences, case and inputs", () => {
  const heard: string[] = [];
  const binding = (keys: string) => ({ keys, label: keys, group: "test", run: () => heard.push(keys) });
  const unbind = bindKeys(["g s", "s", "n", "N", "Ctrl+f", "Shift+ArrowLeft"].map(binding));
  press("g");
  press("s");
  press("s");
  press("n");
  press("N", { shiftKey: true });
  press("ArrowLeft", { shiftKey: true });
  const input = document.body.appendChild(document.createElement("input"));
  press("n", {}, input);
  press("f", { ctrlKey: true }, input);
  expect(heard).toEqual(["g s", "s", "n", "N", "Shift+ArrowLeft", "Ctrl+f"]);
  unbind();
  press("n");
  expect(heard.length).toBe(6);
});

test("keys can be changed, and changed back", () => {
  const heard: string[] = [];
  const binding: Binding = { keys: "g x", label: "x", group: "test", run: () => heard.push("x") };
  const unbind = bindKeys([binding]);
  changeKeys(binding, "q");
  expect(keysOf(binding)).toBe("q");
  press("q");
  press("g");
  press("x");
  expect(heard).toEqual(["x"]);
  changeKeys(binding, undefined);
  press("q");
  press("g");
  press("x");
  expect(heard).toEqual(["x", "x"]);
  unbind();
  expect(canChange({ ...binding, keys: "↓" }) || canChange({ ...binding, keys: "Esc" })).toBe(false);
  expect(canChange(binding) && canChange({ ...binding, keys: "Ctrl+f" })).toBe(true);
});
