// Holds the types that the page uses against those that are generated from the server's own description: what the server
// says must be usable as what the page expects. It is checked by the compiler and never loaded.

import type { components } from "./api-schema";
import type * as Page from "./api-types";

type Schemas = components["schemas"];
/** Without what the description does not say: which words a text may be, what a value of any kind is. */
type Wide<T> = [string | number] extends [T]
  ? unknown
  : T extends string
    ? string
    : T extends (infer Item)[]
      ? Wide<Item>[]
      : T extends object
        ? { [Key in keyof T]: Wide<T[Key]> }
        : T;
/** Compiles only if what the server sends is what the page reads. */
type Usable<Read, Sent extends Wide<Read>> = Sent;

export type Checked = [
  Usable<Page.Skeleton, Schemas["TraceSkeleton"]>,
  Usable<Page.SpanDetail, Schemas["SpanDetail"]>,
  Usable<Page.Diagnosis, Schemas["TraceDiagnosis"]>,
  Usable<Page.FindResult, Schemas["FoundInTrace"]>,
  Usable<Omit<Page.Comparison, "lines">, Omit<Schemas["Comparison"], "lines">>,
  // The second side is one trace's or a cohort's.
  Usable<Omit<Page.ComparedLine, "b">, Omit<Schemas["ComparedPath"], "b">>,
  Usable<Page.Backlinks, Schemas["Backlinks"]>,
  Usable<Page.Opened, Schemas["OpenedFile"]>,
  Usable<Page.Heatmap, Schemas["Heatmap"]>,
  Usable<Page.Breakdown, Schemas["Breakdown"]>,
  Usable<Page.Services, Schemas["Services"]>,
  Usable<Page.Operations, Schemas["Operations"]>,
  Usable<Page.OperationBaseline, Schemas["OperationBaseline"]>,
  Usable<Page.ServiceMap, Schemas["ServiceMap"]>,
  Usable<Page.Queries, Schemas["Queries"]>,
  Usable<Page.Why, Schemas["Why"]>,
  Usable<Page.Tenants, Schemas["Tenants"]>,
];
