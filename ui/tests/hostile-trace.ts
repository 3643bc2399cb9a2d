// A trace whose texts try to be more than text.

import { detailsOf, diagnosisOf, skeletonOf } from "./skeletons";
import type { FakeTrace } from "./trace-fake";

const SCRIPT = "<script>window.hacked=true</script>";

export function hostile(): FakeTrace {
  const skeleton = skeletonOf({ seed: 666, spans: 30, orphans: 1 });
  skeleton.strings = skeleton.strings.map(
    (text, index) =>
      [
        `${SCRIPT}${text}`,
        `\u202e${text}\u202c`,
        `${text}\u0000\u001b[31m`,
        `${"long ".repeat(2_000)}${text}`,
        `<img src=x onerror=window.hacked=true>${text}`,
      ][index % 5],
  );
  skeleton.services = skeleton.services.map((service, index) => ({ ...service, name: skeleton.strings[index] }));
  const diagnosis = diagnosisOf(skeleton);
  diagnosis.findings = [
    {
      rule: "n-plus-one",
      title: `${SCRIPT} title`,
      spans: [0, 1],
      spanIds: [skeleton.spans.id[0], skeleton.spans.id[1]],
      evidence: [{ name: "statement", unit: "text", value: `SELECT '${SCRIPT}' \u202e` }],
      atStakeNanos: 1e9,
      shareOfRoot: 0.5,
      confidence: "high",
      text: `${SCRIPT} \u202e text`,
      doc: "docs/findings/n-plus-one.md",
    },
  ];
  const details = detailsOf(skeleton);
  details[0].status = { code: "error", message: `${SCRIPT}\u0007` };
  details[0].attributes = [
    { key: "script", type: "string", value: SCRIPT },
    { key: "bidi", type: "string", value: "admin\u202e fdp.exe" },
    { key: "ansi", type: "string", value: "\u001b[31mred" },
    { key: "link.fine", type: "string", value: "https://example.org/fine?a=b" },
    { key: "link.script", type: "string", value: "javascript:window.hacked=true" },
    { key: "link.user", type: "string", value: "https://example.org@evil.example/" },
    { key: `key ${SCRIPT}`, type: "string", value: "x" },
    { key: "megabyte", type: "string", value: "x".repeat(1_000_000) },
    { key: "map", type: "map", value: { [SCRIPT]: [SCRIPT] } },
  ];
  details[0].events = [{ name: SCRIPT, offsetNanos: 5, attributes: [{ key: SCRIPT, type: "string", value: SCRIPT }] }];
  return { skeleton, diagnosis, details };
}
