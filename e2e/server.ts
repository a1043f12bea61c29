// Starts `weir serve --demo` with a fresh data folder and reads from its output where it listens and who may sign in.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const STATE = join(HERE, "test-results", "server.json");
const ROLES = ["admin", "engineer", "steward", "compliance", "approver", "viewer"] as const;

export type Role = (typeof ROLES)[number];
export type Server = { address: string; data: string; passwords: Record<Role, string> };

/// What the running server told when it started. For tests.
export function server(): Server {
  return JSON.parse(readFileSync(STATE, "utf8"));
}

/// `Weir is ready at ADDRESS`, then a table of names, passwords and roles. Nothing until all of it is there.
function read(output: string): Omit<Server, "data"> | undefined {
  const address = /^Weir is ready at (http:\/\/\S+)$/m.exec(output)?.[1];
  const table = output.split(/^SIGN IN AS\b.*\n/m)[1];
  if (!address || !table) return undefined;
  const rows = table.split("\n").slice(0, -1).map((line) => line.trim().split(/\s{2,}/));
  const passwords = Object.fromEntries(rows.filter((row) => row.length === 3).map(([name, password]) => [name, password]));
  return ROLES.every((role) => role in passwords) ? { address, passwords: passwords as Record<Role, string> } : undefined;
}

export default async function start() {
  const weir = process.env.WEIR_BIN;
  if (!weir) throw new Error("WEIR_BIN must name the binary `weir`");
  const data = mkdtempSync(join(tmpdir(), "weir-e2e-"));
  const child = spawn(weir, ["serve", "--demo", "--data", data, "--listen", "127.0.0.1:0"], {
    cwd: dirname(HERE),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let log = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => {
    log += chunk.toString();
    if (process.env.WEIR_E2E_LOG) process.stderr.write(chunk);
  });
  const stop = async () => {
    if (child.exitCode === null) {
      const ended = new Promise((done) => child.once("exit", done));
      child.kill("SIGTERM");
      const forced = setTimeout(() => child.kill("SIGKILL"), 30_000);
      await ended;
      clearTimeout(forced);
    }
    rmSync(data, { recursive: true, force: true });
    rmSync(STATE, { force: true });
  };

  const deadline = Date.now() + 120_000;
  for (;;) {
    const told = read(output);
    if (told && (await fetch(`${told.address}/readyz`).catch(() => null))?.ok) {
      mkdirSync(dirname(STATE), { recursive: true });
      writeFileSync(STATE, JSON.stringify({ ...told, data } satisfies Server), { mode: 0o600 });
      break;
    }
    if (child.exitCode !== null || Date.now() > deadline) {
      const how = child.exitCode === null ? "did not start in time" : `ended with ${child.exitCode}`;
      // Its standard output holds passwords.
      const tail = log.split("\n").slice(-40).join("\n");
      await stop();
      throw new Error(`weir ${how}:\n${tail}`);
    }
    await new Promise((done) => setTimeout(done, 100));
  }

  return async () => {
    await stop();
    if (child.exitCode !== 0) throw new Error(`weir did not stop cleanly (${child.exitCode ?? child.signalCode}):\n${log.split("\n").slice(-20).join("\n")}`);
  };
}
