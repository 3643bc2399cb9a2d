// The bar at the top of every page: where one can go, whose data, which time, which theme.

import { base, view } from "../state";
import { setTheme, type ThemeChoice, theme, themeChoice } from "../theme";
import type { PageName } from "../url";
import { Glyph } from "./Glyph";
import { helpOpen } from "./Help";
import { Link } from "./Link";
import { Popover } from "./Popover";
import { TenantPicker } from "./TenantPicker";
import { TimePicker } from "./TimePicker";

/** Pages in the bar, with the key after `g` that opens each. */
export const PAGES: [PageName, string, string][] = [
  ["search", "Search", "s"],
  ["explore", "Explore", "e"],
  ["services", "Services", "v"],
  ["map", "Map", "m"],
  ["live", "Live", "l"],
  ["status", "Status", "t"],
  ["open", "Open file", "o"],
];

/** Pages that a range of time means nothing to. */
const TIMELESS: PageName[] = ["trace", "compare", "live", "status", "open", "missing"];

function isHere(page: PageName): boolean {
  const here = view.value.page;
  return here === page || (page === "services" && here === "service");
}

const THEMES: [ThemeChoice, string, string][] = [
  ["system", "As the system", "system"],
  ["dark", "Dark", "moon"],
  ["light", "Light", "sun"],
];

export function Bar() {
  // A query carries over to the pages that take one.
  const q = view.value.params.q;
  return (
    <header class="bar">
      <Link class="brand" page="search" aria-label="Spanlake, to the search">
        <img src={`${base}assets/icon.svg`} alt="" />
        <span>Spanlake</span>
      </Link>
      <nav aria-label="Pages">
        {PAGES.map(([page, name]) => (
          <Link
            key={page}
            page={page}
            params={page === "search" || page === "explore" || page === "live" ? { q } : {}}
            aria-current={isHere(page) ? "page" : undefined}
          >
            {name}
          </Link>
        ))}
      </nav>
      <TenantPicker />
      {!TIMELESS.includes(view.value.page) && <TimePicker />}
      <button
        type="button"
        class="quiet icon"
        title="Keyboard (?)"
        aria-label="Keyboard"
        onClick={() => {
          helpOpen.value = true;
        }}
      >
        <Glyph name="help" />
      </button>
      <Popover title="Theme" class="quiet icon" label={<Glyph name={theme.value === "dark" ? "moon" : "sun"} />}>
        {(close) => (
          <div class="menu">
            {THEMES.map(([choice, name, glyph]) => (
              <button
                key={choice}
                type="button"
                aria-pressed={themeChoice.value === choice}
                onClick={() => {
                  setTheme(choice);
                  close();
                }}
              >
                <Glyph name={glyph} />
                {name}
              </button>
            ))}
          </div>
        )}
      </Popover>
    </header>
  );
}
