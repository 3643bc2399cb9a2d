// Times as typed.

import { expect, test } from "vitest";
import { describeRange, parseTime } from "./time";

const NOW = Date.UTC(2026, 10, 25, 12);

test("relative, absolute and Unix times", () => {
  const check = (typed: string, millis: number | undefined) => expect(parseTime(typed, NOW), typed).toBe(millis);
  check("now", NOW);
  check("now-15m", NOW - 900_000);
  check("now-1h30m", NOW - 5_400_000);
  check("2026-11-25", Date.UTC(2026, 10, 25));
  check("2026-11-25 11:00", NOW - 3_600_000);
  check("2026-11-25T11:00:00Z", NOW - 3_600_000);
  check("2026-11-25T12:00:00+01:00", NOW - 3_600_000);
  check("1764115200", 1764115200000);
  check("1764115200000", 1764115200000);
  check("1764115200000000", 1764115200000);
  check("1764115200000000000", 1764115200000);
  for (const wrong of ["", "yesterday", "now-", "now-5", "25.11.2026", "12"]) check(wrong, undefined);
});

test("ranges by name", () => {
  expect(describeRange("now-15m", "now", true)).toBe("Last 15 minutes");
  expect(describeRange("now-90m", "now", true)).toBe("Last 90m");
  expect(describeRange("2026-11-25T11:00:00Z", "now", true)).toBe("2026-11-25 11:00:00 → now");
});
