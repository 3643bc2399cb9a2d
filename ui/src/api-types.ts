// Shapes of the API's answers. Absolute times are strings of Unix nanoseconds, durations numbers of nanoseconds.

// --- Traces -------------------------------------------------------------------------------------------------------

export type Shape = "oneRoot" | "noRoot" | "severalRoots" | "broken" | "empty";

/** One array per column, one entry per span; a span is named by its number. */
export interface SkeletonSpans {
  id: string[];
  /** -1 for none. */
  parent: number[];
  /** Nanoseconds from the start of the trace. */
  start: number[];
  duration: number[];
  /** Codes into `strings`. */
  service: number[];
  name: number[];
  host: number[];
  /** 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  kind: number[];
  /** 0 unset, 1 ok, 2 error. */
  status: number[];
  flags: number[];
  events: number[];
  links: number[];
  self: number[];
  /** Nanoseconds of the span's own segments on the critical path. */
  path: number[];
  depth: number[];
  /** 1 if the span does not block its parent. */
  async: number[];
}

export interface Skeleton {
  version: number;
  traceId: string;
  startUnixNanos: string;
  durationNanos: number;
  spanCount: number;
  copyCount: number;
  errorCount: number;
  /** -1 for none. */
  root: number;
  shape: Shape;
  truncated: boolean;
  strings: string[];
  spans: SkeletonSpans;
  preorder: number[];
  services: { name: string; spans: number; errors: number; selfNanos: number; pathNanos: number }[];
  orphans: number[];
  missingParents: {
    id: string;
    children: number[];
    startNanos: number;
    endNanos: number;
    cause: string;
    text: string;
  }[];
  criticalPath: { span: number; start: number; end: number; working: boolean }[];
  gaps: { span: number; start: number; end: number }[];
  folds: { parent: number; spans: number[] }[];
  clock: {
    host: string;
    against?: string;
    offsetNanos: number;
    uncertaintyNanos: number;
    verdict: "skewed" | "inconsistent";
  }[];
  adjusted?: { start: number[] };
  hiddenChildren?: Record<string, number>;
}

export type AttributeType = "string" | "int" | "double" | "bool" | "bytes" | "array" | "map";

export interface Attribute {
  key: string;
  type: AttributeType;
  value: unknown;
}

export interface SpanEvent {
  name: string;
  offsetNanos: number;
  attributes: Attribute[];
}

export interface SpanLink {
  traceId: string;
  spanId: string;
  traceState?: string;
  attributes: Attribute[];
}

export interface SpanDetail {
  id: string;
  parentId?: string;
  traceState?: string;
  name: string;
  kind: string;
  service: string;
  startUnixNanos: string;
  durationNanos: number;
  status: { code: "unset" | "ok" | "error"; message?: string };
  flags: number;
  attributes: Attribute[];
  resource: Attribute[];
  scope: { name: string; version: string; attributes: Attribute[] };
  events: SpanEvent[];
  links: SpanLink[];
  droppedAttributes?: number;
  droppedEvents?: number;
  droppedLinks?: number;
}

export interface FindResult {
  spans: number[];
  ids: string[];
  total: number;
}

export interface Finding {
  rule: string;
  title: string;
  spans: number[];
  spanIds: string[];
  evidence: { name: string; unit: "count" | "nanos" | "ratio" | "text"; value: number | string }[];
  atStakeNanos: number;
  shareOfRoot: number;
  confidence: "high" | "medium" | "low" | string;
  text: string;
  doc: string;
}

export interface Diagnosis {
  version: number;
  traceId: string;
  startUnixNanos: string;
  durationNanos: number;
  spanCount: number;
  errorCount: number;
  /** How many findings to show at first. */
  shown: number;
  findings: Finding[];
  pathByOperation: { service: string; name: string; nanos: number; share: number }[];
  operations: {
    service: string;
    name: string;
    kind: string;
    count: number;
    errors: number;
    totalNanos: number;
    selfNanos: number;
    pathNanos: number;
    maxNanos: number;
  }[];
  overheads: { client: number; server: number; beforeNanos: number; afterNanos: number }[];
  excess: { label: string; excessNanos: number; share: number }[];
  percentiles: Record<string, { rank: number; text: string; medianNanos: number; count: number }>;
  errors: {
    culprits: { span: number; spanId: string; type?: string; message?: string }[];
    edges: { parent?: number; child: number; label?: "propagated" | "transformed" | "timedOut" | "suppressed" }[];
  };
  baseline?: { windowSeconds: number; operations: number };
}

export interface Backlinks {
  links: {
    traceId: string;
    spanId: string;
    service: string;
    name: string;
    startUnixNanos: string;
    toSpanId?: string;
  }[];
  truncated: boolean;
}

/** One trace of a file that a person opened; nothing is stored. */
export interface OpenedTrace {
  skeleton: Skeleton;
  diagnosis: Diagnosis;
  spans: SpanDetail[];
}

export interface Opened extends Partial<OpenedTrace> {
  format: string;
  /** What is wrong with the first spans or lines that could not be read. */
  rejected?: string[];
  rejectedCount?: number;
  traces: {
    traceId: string;
    rootService: string;
    rootName: string;
    startUnixNanos: string;
    durationNanos: number;
    spanCount: number;
    errorCount: number;
  }[];
}

// --- Search -------------------------------------------------------------------------------------------------------

/** A value as OTLP writes it in JSON. */
export interface OtlpValue {
  stringValue?: string;
  intValue?: string | number;
  doubleValue?: number;
  boolValue?: boolean;
  bytesValue?: string;
  arrayValue?: { values?: OtlpValue[] };
  kvlistValue?: { values?: { key: string; value: OtlpValue }[] };
}

export interface FoundSpan {
  spanID: string;
  name?: string;
  startTimeUnixNano: string;
  durationNanos: string;
  attributes?: { key: string; value: OtlpValue }[];
}

export interface FoundTrace {
  traceID: string;
  rootServiceName?: string;
  rootTraceName?: string;
  startTimeUnixNano: string;
  durationMs?: number;
  spanSets?: { spans: FoundSpan[]; matched: number }[];
  serviceStats?: Record<string, { spanCount: number; errorCount?: number }>;
}

export interface SearchMetrics {
  totalBlocks?: number;
  completedJobs?: number;
  totalJobs?: number;
  inspectedTraces?: number;
  inspectedSpans?: string;
  inspectedBytes?: string;
  totalBlockBytes?: string;
}

export type SearchLine =
  | { type: "progress"; metrics: SearchMetrics }
  | { type: "traces"; traces: FoundTrace[] }
  | { type: "done"; metrics: SearchMetrics; stopped?: string }
  | { type: "error"; status: number; message: string };

export interface QueryError {
  message: string;
  text: string;
  line: number;
  column: number;
  offset: number;
  length: number;
  expected: string[];
  hint?: string;
}

export interface Completion {
  start: number;
  end: number;
  prefix: string;
  kinds: { kind: string; scope?: string; ofParent?: boolean; field?: string }[];
  candidates: string[];
}

export interface Checked {
  valid: boolean;
  kind?: "search" | "metrics";
  canonical?: string;
  errors: QueryError[];
  completion?: Completion;
}

export interface Why {
  conditions: { text: string; matches: number; exists: number; suggestion?: string }[];
  widen?: { start: string; end: string; text: string };
  partial?: string;
}

export interface TagNames {
  scopes: { name: string; tags: string[] }[];
}

export interface TagValues {
  tagValues: { type: string; value: string }[];
}

// --- Explore ------------------------------------------------------------------------------------------------------

export interface Heatmap {
  startUnixNanos: string;
  endUnixNanos: string;
  stepNanos: number;
  /** One more than there are rows; ascending. */
  bounds: number[];
  /** Column, row, spans, errors; only cells that hold something. */
  cells: [number, number, number, number][];
  total: number;
  errors: number;
  partial?: string;
  rate: number[];
  errorRate: number[];
  p50: (number | null)[];
  p99: (number | null)[];
}

export interface Selection {
  startUnixNanos: string;
  endUnixNanos: string;
  minNanos: number;
  maxNanos: number;
  errors?: boolean;
}

export type Baseline = "rest" | "before" | "day" | { q: string };

export interface Difference {
  scope: "span" | "resource" | "intrinsic" | string;
  key: string;
  /** null: the attribute is absent. */
  value: unknown;
  type: string;
  selectedCount: number;
  baselineCount: number;
  selectedShare: number;
  baselineShare: number;
  score: number;
  under: boolean;
  together?: AttributeValue[];
}

/** A value of an attribute; null: the attribute is absent. */
export interface AttributeValue {
  scope: string;
  key: string;
  value: unknown;
  type: string;
}

export interface Breakdown {
  selected: number;
  baseline: number;
  hiddenKeys: string[];
  differences: Difference[];
  /** Two values that set the selection apart together better than each alone. */
  pairs?: { of: AttributeValue[]; selectedShare: number; baselineShare: number; score: number }[];
  numbers: {
    scope: string;
    key: string;
    ks: number;
    selected: { p50: number; p90: number };
    baseline: { p50: number; p90: number };
  }[];
  representative: {
    traceId: string;
    spanId: string;
    service: string;
    name: string;
    durationNanos: number;
    startUnixNanos: string;
    error: boolean;
  }[];
  partial?: string;
}

// --- Services -----------------------------------------------------------------------------------------------------

export interface Series {
  requests: number[];
  errors: number[];
  p99: (number | null)[];
}

export interface Red {
  requests: number;
  errors: number;
  rate: number;
  errorShare: number;
  p50Nanos?: number;
  p90Nanos?: number;
  p99Nanos?: number;
  series: Series;
}

export interface Services {
  startUnixNanos: string;
  endUnixNanos: string;
  stepNanos: number;
  partial?: string;
  services: ({ name: string; namespace?: string; spans: number; versions?: string[] } & Red)[];
}

export interface Dependency {
  service: string;
  connection: string;
  calls: number;
  errors: number;
  p50Nanos?: number;
  p99Nanos?: number;
  shareOfTime?: number;
}

export interface Operations {
  service: string;
  partial?: string;
  operations: ({ name: string; kind: string } & Red)[];
  dependencies?: Dependency[];
  callers?: Dependency[];
}

export interface OperationBaseline {
  count: number;
  p50Nanos?: number;
  p90Nanos?: number;
  p99Nanos?: number;
  histogram: [number, number][];
  rank?: number;
  text?: string;
  windowSeconds: number;
  tooFew?: boolean;
}

export interface MapNode {
  name: string;
  kind: "service" | "database" | "messaging" | "virtual" | string;
  requests: number;
  errors: number;
  p50Nanos?: number;
  p99Nanos?: number;
}

export interface MapEdge {
  client: string;
  server: string;
  connection: string;
  calls: number;
  errors: number;
  p50Nanos?: number;
  p99Nanos?: number;
}

export interface ServiceMap {
  nodes: MapNode[];
  edges: MapEdge[];
  /** Calls of which only one side was found. */
  unpaired?: number;
  partial?: string;
}

// --- Comparison ---------------------------------------------------------------------------------------------------

/** Sums of a call path in one trace, or what is ordinary of each in a cohort. */
export interface ComparedSide {
  count: number | Band;
  totalNanos: number | Band;
  selfNanos: number | Band;
  pathNanos: number | Band;
  /** Of one trace only. */
  errors?: number;
}

export interface Band {
  p10: number;
  p50: number;
  p90: number;
}

export interface ComparedLine {
  path: string[];
  depth: number;
  service: string;
  name: string;
  kind: string;
  /** `same`, `moved`, `added` (only in the second), `removed` (only in the first). */
  change: string;
  a: ComparedSide;
  b: ComparedSide;
  deltaNanos: number;
  pathDeltaNanos: number;
  /** Against a cohort only. */
  unusual?: boolean;
}

export interface ComparedTrace {
  traceId: string;
  rootService: string;
  rootName: string;
  startUnixNanos: string;
  durationNanos: number;
  spanCount: number;
  errorCount: number;
}

export interface Comparison {
  a: ComparedTrace;
  b?: ComparedTrace;
  cohort?: { query: string; traces: number };
  lines: ComparedLine[];
  truncated: boolean;
}

// --- Live and operations ------------------------------------------------------------------------------------------

export interface TailSpan {
  traceId: string;
  spanId: string;
  service: string;
  name: string;
  kind: string;
  status: string;
  startUnixNanos: string;
  durationNanos: number;
  rootService?: string;
}

export interface TailProgress {
  dropped: number;
  delayMillis?: number;
}

export interface Status {
  version: string;
  uptimeSeconds: number;
  roles: string[];
  ready: boolean;
  reason?: string;
  tenancy: boolean;
  demo?: boolean;
  startedUnixNanos: string;
  ingest?: {
    spansTotal: number;
    spansPerSecond: number;
    refusedTotal: number;
    refused: { reason: string; count: number }[];
    bufferedSpans: number;
    oldestUnflushedMillis?: number;
    inFlightBytes?: number;
  };
  blocks?: {
    levels: { level: number; blocks: number; spans: number; bytes: number }[];
    retired: number;
    quarantined: { key: string; problem: string }[];
    deletedTraces: number;
  };
  compaction?: {
    backlogBlocks: number;
    backlogBytes: number;
    oldestAgeSeconds: number;
    /** What would be merged next, in words. */
    due: string;
    lastError?: string;
  };
  retention?: { seconds?: number };
  store?: {
    url: string;
    requests: { operation: string; count: number; errors: number; p50Millis: number; p99Millis: number }[];
  };
  cache?: { name: string; hits: number; misses: number; bytes: number; limitBytes: number }[];
  queries?: { running: number; waiting: number };
  process?: { residentBytes: number; openFiles: number; cpuSeconds: number };
}

export interface BlockRow {
  key: string;
  level: number;
  spans: number;
  traces: number;
  bytes: number;
  fromUnixNanos: string;
  toUnixNanos: string;
  writtenUnixNanos: string;
  state: string;
}

export interface BlockPage {
  blocks: BlockRow[];
  next?: string;
}

export interface BlockFacts {
  columns: { name: string; bytes: number; rawBytes?: number }[];
  indexes: { name: string; bytes: number }[];
  why: string;
}

export interface RunningQuery {
  id: string;
  kind: string;
  query: string;
  tenant: string;
  startedUnixNanos: string;
  durationNanos: number;
  inspectedBytes: number;
  inspectedSpans: number;
  /** Only of those that have ended. */
  status?: number;
}

export interface Queries {
  running: RunningQuery[];
  slow: RunningQuery[];
}

export interface Tenants {
  tenancy: boolean;
  tenants: string[];
}
