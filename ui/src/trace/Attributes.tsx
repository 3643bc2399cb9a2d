// Keys and values as text nodes, with what one can do with each. Whatever a value says, it stays text.
import { type ComponentChildren, Fragment } from "preact";
import { useState } from "preact/hooks";
import type { Attribute } from "../api-types";
import { count } from "../format";
import { isPinned, pinned, togglePin } from "../pins";
import { field } from "../search/conditions";
import { withColumn } from "../search/last";
import { Glyph } from "../shell/Glyph";
import { Link, Outside } from "../shell/Link";
import { copy } from "./clipboard";
import { cut, linkOf, visible, visibleLine } from "./hostile";
import type { TraceStore } from "./store";
import { attributeText, condition, findText, isComparable } from "./values";

/** Shown of a long value until it is opened, and at most after; copying takes all of it. */
const FOLDED = 400;
const OPEN = 200_000;
/** From here on a value stands below its key. */
const WIDE = 64;
/** So many attributes get a filter. */
const MANY = 12;

type Scope = "span" | "resource" | "event" | "link" | "instrumentation";

interface Props {
  store: TraceStore;
  scope: Scope;
  attributes: Attribute[];
  dropped?: number;
}

export function Attributes({ store, scope, attributes, dropped }: Props) {
  const [wanted, setWanted] = useState("");
  const lower = wanted.toLowerCase();
  const pins = pinned.value.value;
  const isPin = (one: Attribute): boolean => isPinned(pins, scope, one.key);
  const shown = [...attributes]
    // Pinned ones first, the others by name.
    .sort((a, b) => Number(isPin(b)) - Number(isPin(a)) || (a.key < b.key ? -1 : 1))
    .filter((one) => !lower || `${one.key}=${attributeText(one)}`.toLowerCase().includes(lower));
  return (
    <>
      {attributes.length > MANY && (
        <input
          class="attribute-filter"
          type="search"
          placeholder="Filter keys and values"
          aria-label="Filter attributes"
          value={wanted}
          onInput={(event) => setWanted(event.currentTarget.value)}
        />
      )}
      {shown.length === 0 && <p class="muted pad">{attributes.length === 0 ? "None" : "Nothing matches"}</p>}
      <dl class="attributes">
        {shown.map((attribute) => (
          <Entry key={attribute.key} store={store} scope={scope} attribute={attribute} isPinned={isPin(attribute)} />
        ))}
      </dl>
      {dropped ? <p class="muted pad">The SDK dropped {count(dropped)} more</p> : null}
    </>
  );
}

function Entry(props: { store: TraceStore; scope: Scope; attribute: Attribute; isPinned: boolean }) {
  const { store, scope, attribute } = props;
  const key = visibleLine(attribute.key);
  const text = attributeText(attribute);
  // Statements and stacks want the whole width.
  const isLong = text.length > WIDE || text.includes("\n");
  return (
    <div class={`attribute ${isLong ? "long" : ""}`}>
      <dt title={`${key} (${attribute.type})`}>
        {props.isPinned && <Glyph name="pin" />}
        {breakable(key)}
      </dt>
      <dd>
        <Value attribute={attribute} />
        <Actions store={store} scope={scope} attribute={attribute} name={key} isPinned={props.isPinned} />
      </dd>
    </div>
  );
}

/** Keys break where their words end. */
function breakable(key: string): ComponentChildren {
  return key.split(/(?<=[._])/).map((part, index) => (
    <Fragment key={index}>
      {index > 0 && <wbr />}
      {part}
    </Fragment>
  ));
}

export function Value({ attribute }: { attribute: Attribute }) {
  const [isOpen, setOpen] = useState(false);
  const text = attributeText(attribute);
  const link = attribute.type === "string" ? linkOf(text) : undefined;
  const part = cut(text, isOpen ? OPEN : FOLDED);
  const isLiteral = attribute.type !== "string";
  return (
    <>
      {/* Isolated, so that marks of direction turn round nothing outside. */}
      <bdi class={`value ${isLiteral ? "literal" : ""}`}>
        {link ? <Outside text={link}>{part.text}</Outside> : visible(part.text)}
        {part.isCut ? "…" : ""}
        {text === "" && <span class="muted">(empty)</span>}
      </bdi>
      {text.length > FOLDED && (
        <button type="button" class="quiet small inline" onClick={() => setOpen(!isOpen)}>
          {isOpen
            ? `Less${part.isCut ? ` (the first ${count(OPEN)} characters)` : ""}`
            : `All ${count(text.length)} characters`}
        </button>
      )}
    </>
  );
}

function Actions(props: { store: TraceStore; scope: Scope; attribute: Attribute; name: string; isPinned: boolean }) {
  const { store, scope, attribute, name } = props;
  // A condition with a megabyte in it is no query, and no address either.
  const canQuery = !store.source.isFile && isComparable(attribute) && attributeText(attribute).length < 1_000;
  const column = field(scope, attribute.key);
  // A comma or a quote cannot stand in the address's list of columns.
  const canColumn = !store.source.isFile && (scope === "span" || scope === "resource") && !/[",]/.test(column);
  return (
    <span class="attribute-actions">
      {canQuery && (
        <>
          <Link
            page="search"
            params={{ q: condition(scope, attribute, "=") }}
            title="Search traces with this value"
            aria-label={`Search traces with this ${name}`}
          >
            =
          </Link>
          <Link
            page="search"
            params={{ q: condition(scope, attribute, "!=") }}
            title="Search traces without this value"
            aria-label={`Search traces without this ${name}`}
          >
            ≠
          </Link>
          <Link
            page="explore"
            params={{ q: condition(scope, attribute, "=") }}
            title="Open in Explore"
            aria-label={`Open this ${name} in Explore`}
          >
            <Glyph name="right" />
          </Link>
        </>
      )}
      {canColumn && (
        <>
          <Link
            page="search"
            params={withColumn(column)}
            title="Add a column to the search"
            aria-label={`Add a column ${name} to the search`}
          >
            <Glyph name="columns" />
          </Link>
          <button
            type="button"
            title={props.isPinned ? "Unpin" : "Pin: first in this list, at hand in the search"}
            aria-label={`${props.isPinned ? "Unpin" : "Pin"} ${name}`}
            aria-pressed={props.isPinned}
            onClick={() => togglePin(column)}
          >
            <Glyph name="pin" />
          </button>
        </>
      )}
      {scope !== "link" && attributeText(attribute).length < 1_000 && (
        <button
          type="button"
          title="Find in this trace"
          aria-label={`Find this ${name} in this trace`}
          onClick={() => store.find(findText(attribute))}
        >
          <Glyph name="search" />
        </button>
      )}
      <button
        type="button"
        title="Copy value"
        aria-label={`Copy ${name}`}
        onClick={async () => {
          store.said.value = (await copy(attributeText(attribute)))
            ? "Value copied"
            : "The browser did not let it be copied";
        }}
      >
        <Glyph name="copy" />
      </button>
    </span>
  );
}
