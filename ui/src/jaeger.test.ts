// Jaeger's links mean the same here.

import { expect, test } from "vitest";
import { fromJaeger } from "./jaeger";
import { decode } from "./url";

const search = (text: string) => fromJaeger(decode("search", text))?.params;

test("searches", () => {
  expect(
    search('?service=pay&operation=GET%20%2Fa&tags={"http.status_code":"500","error":"true"}&lookback=1h&limit=20'),
  ).toEqual({
    q: '{ resource.service.name = "pay" && name = "GET /a" && (.http.status_code = 500 || .http.status_code = "500") && status = error }',
    from: "now-1h",
    to: "now",
    limit: "20",
  });
  expect(
    search("?service=a&start=1764115200000000&end=1764118800000000&lookback=custom&maxDuration&minDuration=1.2ms"),
  ).toEqual({
    q: '{ resource.service.name = "a" && duration >= 1.2ms }',
    from: "1764115200000000",
    to: "1764118800000000",
  });
  expect(search("?service=a&tag=region:eu&tag=x:y")?.q).toBe(
    '{ resource.service.name = "a" && .region = "eu" && .x = "y" }',
  );
  expect(search("?q={}&service=a")).toBeUndefined();
  expect(search("")).toBeUndefined();
});

test("traces", () => {
  expect(fromJaeger(decode("trace/1f", "?uiFind=error&uiEmbed=v0"))?.params).toEqual({
    find: "error",
    embed: "1",
  });
  expect(fromJaeger(decode("trace/1f", "?span=2"))).toBeUndefined();
});
