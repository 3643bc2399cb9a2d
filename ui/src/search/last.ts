// What the search last looked like, so that other pages can lead back to it with something added. Lasts as long as the
// page is loaded.

let last: Record<string, string | undefined> = {};

export function remember(params: Record<string, string | undefined>): void {
  last = params;
}

/** Parameters of the last search with one more column. */
export function withColumn(column: string): Record<string, string | undefined> {
  const known = last.cols ? last.cols.split(",") : [];
  return { ...last, cols: (known.includes(column) ? known : [...known, column]).join(",") };
}
