// The heads of a map's arrows, of calls that went well and of such that failed: lines name them by `url(#name-plain)`.

/** The definitions; `name` keeps those of two maps on one page apart. */
export function Arrowheads({ name }: { name: string }) {
  return (
    <defs>
      {(["plain", "bad"] as const).map((tone) => (
        <marker
          key={tone}
          id={`${name}-${tone}`}
          viewBox="0 0 8 8"
          refX="7"
          refY="4"
          markerWidth="7"
          markerHeight="7"
          markerUnits="userSpaceOnUse"
          orient="auto"
        >
          <path class={`arrow ${tone}`} d="M0 0L8 4L0 8Z" />
        </marker>
      ))}
    </defs>
  );
}
