// Starts `weir serve --demo` with a fresh data folder and reads from its output where it listens and who may sign in.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const STATE = join(import.meta.dirname, "test-results", "server.json");

export type Server = { address: string; data: string; logins: Record<string, string> };

export default async function start() {
  const weir = process.env.WEIR_BIN;
  if (!weir) throw new Error("WEIR_BIN must name the binary `weir`");
  const data = mkdtempSync(join(tmpdir(), "weir-e2e-"));
  const child = spawn(weir, ["serve", "--demo", "--data", data, "--listen", "127.0.0.1:0"], {
    cwd: join(import.meta.dirname, ".."),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  const collect = (chunk: Buffer) => {
    text += chunk.toString();
    if (process.env.WEIR_E2E_LOG) process.stderr.write(chunk);
  };
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);

  const deadline = Date.now() + 120_000;
  let address: string | undefined;
  const logins: Record<string, string> = {};
  while (Date.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`weir ended with ${child.exitCode}:\n${text}`);
    address = /https?:\/\/127\.0\.0\.1:\d+/.exec(text)?.[0];
    for (const [, name, password] of text.matchAll(/^\s*([a-z]+)\s+(\S{12,})\s*(?:\S+)?\s*$/gm)) logins[name] = password;
    if (address && Object.keys(logins).length >= 6 && (await fetch(`${address}/readyz`).catch(() => null))?.ok) break;
    await new Promise((done) => setTimeout(done, 200));
  }
  if (!address) throw new Error(`weir did not start in time:\n${text}`);
  const { mkdirSync } = await import("node:fs");
  mkdirSync(join(import.meta.dirname, "test-results"), { recursive: true });
  writeFileSync(STATE, JSON.stringify({ address, data, logins } satisfies Server));

  return async () => {
    const ended = new Promise((done) => child.once("exit", done));
    child.kill("SIGTERM");
    const forced = setTimeout(() => child.kill("SIGKILL"), 20_000);
    await ended;
    clearTimeout(forced);
    rmSync(data, { recursive: true, force: true });
    rmSync(STATE, { force: true });
  };
}
