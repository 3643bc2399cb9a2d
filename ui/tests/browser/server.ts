// Starts the server that the browser tests ask: the demo's shop, in memory, at a fixed instant. Ends it by its id.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { TestProject } from "vitest/node";
import { DEMO_NOW } from "./demo";

declare module "vitest" {
  export interface ProvidedContext {
    base: string;
    otlp: string;
  }
}

const START_MILLIS = 120_000;

function binary(): string {
  const target = process.env.CARGO_TARGET_DIR ?? "../target";
  const found = [process.env.SPANLAKE_BIN, `${target}/debug/spanlake`, `${target}/release/spanlake`].find(
    (path) => path && existsSync(path),
  );
  if (!found) throw new Error("no spanlake binary: build it, or name it in SPANLAKE_BIN");
  return resolve(found);
}

export default async function setup(project: TestProject) {
  const anywhere = "127.0.0.1:0";
  const server: ChildProcess = spawn(
    binary(),
    [
      ...["serve", "--storage-url", "memory://", "--http-listen", anywhere, "--print-addresses"],
      ...["--otlp-grpc-listen", anywhere, "--otlp-http-listen", anywhere, "--set", `server.grpc_listen=${anywhere}`],
      ...["--demo", "--seed", "1", "--demo-now", DEMO_NOW, "--ui-dir", resolve("dist")],
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let said = "";
  server.stderr?.on("data", (text: Buffer) => {
    said = (said + text.toString()).slice(-4000);
  });
  const stop = async () => {
    if (server.exitCode !== null) return;
    server.kill("SIGTERM");
    await new Promise((done) => server.once("exit", done));
  };
  try {
    const addresses = await firstLine(server, () => said);
    const base = `http://${addresses.http}`;
    await filled(base);
    project.provide("base", base);
    project.provide("otlp", `http://${addresses.otlp_http}`);
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}

function firstLine(server: ChildProcess, said: () => string): Promise<Record<string, string>> {
  return new Promise((done, failed) => {
    let text = "";
    server.stdout?.on("data", (piece: Buffer) => {
      text += piece.toString();
      const end = text.indexOf("\n");
      if (end >= 0) done(JSON.parse(text.slice(0, end)));
    });
    server.once("exit", (code) => failed(new Error(`the server ended with ${code}: ${said()}`)));
  });
}

/** Waits until the demo has written its past: the number of spans has stood still for a while. */
async function filled(base: string): Promise<void> {
  const end = Date.parse(DEMO_NOW) / 1000;
  const address = `${base}/api/v1/explore/heatmap?start=${end - 3600}&end=${end}&x=1&y=1`;
  const until = Date.now() + START_MILLIS;
  let last = 0;
  let same = 0;
  while (Date.now() < until) {
    const answer = await fetch(address);
    const { total } = answer.ok ? ((await answer.json()) as { total: number }) : { total: 0 };
    same = total > 0 && total === last ? same + 1 : 0;
    if (same >= 3) return;
    last = total;
    await new Promise((later) => setTimeout(later, 700));
  }
  throw new Error("the demo did not write its spans in time");
}
