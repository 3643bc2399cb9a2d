// For addresses that are no page.

import { view } from "../state";
import { Link } from "./Link";

export function Missing() {
  return (
    <div class="page">
      <div class="empty">
        <h1>There is no such page</h1>
        <p>
          <code>{view.value.id}</code> leads nowhere. <Link page="search">Search traces</Link> instead.
        </p>
      </div>
    </div>
  );
}
