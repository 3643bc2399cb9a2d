// The frame: bar, page, help sheet, the keys that work everywhere.

import { useEffect } from "preact/hooks";
import { useKeys } from "../keys";
import { go, refreshed, setUtc, tenant, utc, view } from "../state";
import { setTheme, theme } from "../theme";
import { Bar, PAGES } from "./Bar";
import { Boundary } from "./Boundary";
import { Help, helpOpen } from "./Help";
import { Missing } from "./Missing";
import { PAGE_VIEWS } from "./pages";
import { learn } from "./server";

export function Shell() {
  const { page, id } = view.value;
  useEffect(() => {
    void learn();
  }, [tenant.value]);
  useEffect(() => {
    const named = PAGES.find(([name]) => name === page)?.[1];
    const title = page === "service" ? id : page === "compare" ? "Compare traces" : named;
    document.title = title ? `${title} · Spanlake` : "Spanlake";
  }, [page, id]);
  useKeys(() => [
    ...PAGES.map(([target, name, key]) => ({
      keys: `g ${key}`,
      label: name,
      group: "Go to",
      run: () => {
        const q = view.peek().params.q;
        go(target, "", target === "search" || target === "explore" || target === "live" ? { q } : {});
      },
    })),
    {
      keys: "?",
      label: "This sheet",
      group: "Everywhere",
      run: () => {
        helpOpen.value = !helpOpen.peek();
      },
    },
    {
      keys: "y",
      label: "Copy the link to what is shown",
      group: "Everywhere",
      run: () => void navigator.clipboard?.writeText(window.location.href),
    },
    { keys: "u", label: "UTC or local time", group: "Everywhere", run: () => setUtc(!utc.peek()) },
    {
      keys: "r",
      label: "Refresh",
      group: "Everywhere",
      run: () => {
        refreshed.value++;
      },
    },
    {
      keys: "t",
      label: "Dark or light",
      group: "Everywhere",
      run: () => setTheme(theme.peek() === "dark" ? "light" : "dark"),
    },
  ]);
  const Page = PAGE_VIEWS[page] ?? Missing;
  return (
    <>
      <a class="skip" href="#main">
        Skip to the page
      </a>
      {/* In a frame of another page, which has a bar of its own. */}
      {view.value.params.embed !== "1" && <Bar />}
      <main id="main" tabIndex={-1}>
        <Boundary place={`${page}/${id}`}>
          <Page key={page === "trace" || page === "service" ? `${page}/${id}` : page} id={id} />
        </Boundary>
      </main>
      <Help />
    </>
  );
}
