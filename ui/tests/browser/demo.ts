// The instant at which the demo of the browser tests stands still.

export const DEMO_NOW = "2026-03-02T14:00:00Z";
