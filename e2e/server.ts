// Starts `weir serve --demo` with a fresh data folder and reads from its output where it listens and who may sign in.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROLES = ["admin", "engineer", "steward", "compliance", "approver", "viewer"] as const;

export type Role = (typeof ROLES)[number];
export type Server = { address: string; passwords: Record<Role, string> };

/// `Weir is ready at ADDRESS`, then a table of names, passwords and roles. Nothing until all of it is there.
function read(output: string): Server | undefined {
  const address = /^Weir is ready at (http:\/\/\S+)$/m.exec(output)?.[1];
  const table = output.split(/^SIGN IN AS\b.*\n/m)[1];
  if (!address || !table) return undefined;
  const rows = table.split("\n").slice(0, -1).map((line) => line.trim().split(/\s{2,}/));
  const passwords = Object.fromEntries(rows.filter((row) => row.length === 3).map(([name, password]) => [name, password]));
  return ROLES.every((role) => role in passwords) ? { address, passwords: passwords as Record<Role, string> } : undefined;
}

/// A server of its own, once its demo has rows to show in every list; and what stops it.
export async function start(): Promise<{ server: Server; stop: () => Promise<void> }> {
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
  // Its standard output holds passwords; the log holds none.
  const told = (lines: number) => log.split("\n").slice(-lines).join("\n");
  const end = async () => {
    if (child.exitCode === null) {
      const ended = new Promise((done) => child.once("exit", done));
      child.kill("SIGTERM");
      const forced = setTimeout(() => child.kill("SIGKILL"), 30_000);
      await ended;
      clearTimeout(forced);
    }
    rmSync(data, { recursive: true, force: true });
  };
  const stop = async () => {
    await end();
    if (child.exitCode !== 0) throw new Error(`weir did not stop cleanly (${child.exitCode ?? child.signalCode}):\n${told(20)}`);
  };

  const deadline = Date.now() + 120_000;
  for (;;) {
    const server = read(output);
    if (server && !(await isAlive(server))) {
      await end();
      throw new Error(`${weir} was built without the console's wasm: build it with \`cargo xtask build\``);
    }
    if (server && (await hasRows(server).catch(() => false))) return { server, stop };
    if (child.exitCode !== null || Date.now() > deadline) {
      const how = child.exitCode === null ? "did not start in time" : `ended with ${child.exitCode}`;
      await end();
      throw new Error(`weir ${how}:\n${told(40)}`);
    }
    await new Promise((done) => setTimeout(done, 200));
  }
}

/// Whether pages bring the scripts that make them alive.
async function isAlive({ address }: Server): Promise<boolean> {
  return (await (await fetch(`${address}/sign-in`)).text()).includes("/app.js");
}

/// Whether the demo's pipelines have written rows and held some back.
async function hasRows({ address, passwords }: Server): Promise<boolean> {
  const json = { "Content-Type": "application/json" };
  cookies[address] ??= await (async () => {
    const body = JSON.stringify({ name: "viewer", password: passwords.viewer });
    const answer = await fetch(`${address}/api/v1/session`, { method: "POST", headers: json, body });
    return answer.headers.get("set-cookie")?.split(";")[0] ?? "";
  })();
  const get = async (path: string) => (await (await fetch(`${address}/api/v1/projects/main/${path}`, { headers: { cookie: cookies[address] } })).json()).items;
  const runs: { rows_out: number }[] = await get("runs");
  const held: unknown[] = await get("quarantine?pipeline=payments&limit=1");
  return runs.length === 3 && runs.every((run) => run.rows_out > 0) && held.length > 0;
}

/// One session for all questions, by address.
const cookies: Record<string, string> = {};
