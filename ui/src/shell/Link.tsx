// Links inside the page: real addresses, followed without loading the page again.

import type { ComponentChildren } from "preact";
import { safeLink } from "../format";
import { follow, href } from "../state";
import type { PageName } from "../url";

interface Props {
  class?: string;
  title?: string;
  tabIndex?: number;
  "aria-label"?: string;
  "aria-current"?: "page";
  page: PageName;
  id?: string;
  params?: Record<string, string | undefined>;
  children: ComponentChildren;
}

export function Link({ page, id = "", params, children, ...rest }: Props) {
  const address = href(page, id, params);
  return (
    <a
      {...rest}
      href={address}
      onClick={(event: MouseEvent) => {
        // Other buttons and keys keep what the browser does with them: a new tab, a download.
        if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
        event.preventDefault();
        follow(address);
      }}
    >
      {children}
    </a>
  );
}

/** Text that may be a link out: only http and https are followed, everything else is text. */
export function Outside({ text, children }: { text: string; children?: ComponentChildren }) {
  const address = safeLink(text);
  if (!address) return <>{children ?? text}</>;
  return (
    <a href={address} target="_blank" rel="noopener noreferrer">
      {children ?? text}
    </a>
  );
}
