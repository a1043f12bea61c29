// What must hold on every page: axe finds nothing in light and dark, the console is silent, and a phone scrolls one way only.
import type { APIResponse } from "@playwright/test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, expectAccessible, expectNoSidewaysScroll, test, visit, type Page, type Role } from "../console.ts";
import { payments } from "../documents.ts";

type Known = { run: string; failedRun: string; row: { segment: string; row: number }; entry: number };

type Case = {
  what: string;
  address: string | ((known: Known) => string);
  /// Nobody, when null.
  as?: Role | null;
  /// What is done on the page before it is judged.
  act?: (page: Page) => Promise<void>;
  /// Told by the page when it is complete.
  shows: (page: Page) => ReturnType<Page["getByRole"]>;
  /// The status that the page has by right.
  status?: number;
};

const heading = (name: string | RegExp) => (page: Page) => page.getByRole("heading", { name, level: 1 });

const CASES: Case[] = [
  { what: "sign-in", address: "/sign-in", as: null, shows: heading("Sign in") },
  {
    what: "sign-in refused",
    address: "/sign-in",
    as: null,
    status: 401,
    act: async (page) => {
      await page.getByLabel("Name").fill("nobody");
      await page.getByLabel("Password").fill("no password");
      await page.getByRole("button", { name: "Sign in" }).click();
    },
    shows: (page) => page.getByRole("alert"),
  },
  { what: "overview", address: "/p/main", shows: heading("Overview") },
  { what: "overview of a viewer", address: "/p/main", as: "viewer", shows: heading("Overview") },
  { what: "pipelines", address: "/p/main/pipelines", shows: heading("Pipelines") },
  { what: "new pipeline", address: "/p/main/new-pipeline", shows: (page) => page.getByRole("region", { name: "Pipeline graph" }) },
  {
    what: "new pipeline with errors",
    address: "/p/main/new-pipeline",
    act: (page) => page.getByRole("textbox", { name: "Pipeline document" }).fill(payments("broken").replace("on_fail", "on_fial").replace("amount", "amonut")),
    shows: (page) => page.getByRole("complementary", { name: "Findings" }).getByRole("listitem").first(),
  },
  { what: "pipeline", address: "/p/main/pipelines/payments", shows: (page) => page.getByRole("link", { name: "swipes: generator" }) },
  { what: "pipeline of a viewer", address: "/p/main/pipelines/payments", as: "viewer", shows: heading("payments") },
  { what: "node", address: "/p/main/pipelines/payments?node=checked", shows: (page) => page.getByRole("region", { name: "Node checked" }).getByText("✓ balanced") },
  { what: "document", address: "/p/main/pipelines/payments/document", shows: (page) => page.getByRole("region", { name: "Document" }) },
  { what: "changes between versions", address: "/p/main/pipelines/pages-versions/document?compare=1", shows: (page) => page.getByText("Changes from version 1 to version 2").first() },
  { what: "runs of a pipeline", address: "/p/main/pipelines/payments/runs", shows: (page) => page.getByRole("table", { name: "Runs" }) },
  { what: "no runs", address: "/p/main/pipelines/pages-versions/runs", shows: (page) => page.getByText("No runs yet") },
  { what: "quality of a pipeline", address: "/p/main/pipelines/payments/quality", shows: (page) => page.getByText("Nothing has been measured yet") },
  { what: "alerts of a pipeline", address: "/p/main/pipelines/payments/alerts", shows: (page) => page.getByText("No alerts") },
  { what: "quarantine of a pipeline", address: "/p/main/pipelines/payments/quarantine", shows: (page) => page.getByRole("table", { name: "Quarantined rows" }) },
  { what: "edit", address: "/p/main/pipelines/payments/edit", shows: (page) => page.getByRole("region", { name: "Pipeline graph" }) },
  { what: "question to deploy", address: "/p/main/pipelines/payments?confirm=deploy", shows: (page) => page.getByRole("dialog") },
  { what: "question to deploy, of a viewer", address: "/p/main/pipelines/payments?confirm=deploy", as: "viewer", shows: (page) => page.getByRole("dialog") },
  { what: "question to delete", address: "/p/main/pipelines/pages-versions?confirm=delete", shows: (page) => page.getByRole("dialog") },
  { what: "failed pipeline", address: "/p/main/pipelines/pages-failing", shows: (page) => page.getByRole("alert") },
  { what: "runs", address: "/p/main/runs", shows: (page) => page.getByRole("table", { name: "Runs" }) },
  { what: "run", address: (known) => `/p/main/runs/${known.run}`, shows: (page) => page.getByRole("table", { name: "Checkpoints" }) },
  { what: "failed run", address: (known) => `/p/main/runs/${known.failedRun}`, shows: (page) => page.getByRole("alert") },
  { what: "alerts", address: "/p/main/alerts", shows: heading("Alerts") },
  { what: "alerts without a match", address: "/p/main/alerts?pipeline=none", shows: (page) => page.getByText("No alert matches") },
  { what: "quarantine", address: "/p/main/quarantine", shows: (page) => page.getByRole("table", { name: "Quarantined rows" }) },
  { what: "quarantine without a match", address: "/p/main/quarantine?rule=none", shows: (page) => page.getByText("No row was held for that") },
  { what: "quarantined row", address: ({ row }) => `/p/main/quarantine/${row.segment}/${row.row}`, shows: heading(/^Row/) },
  {
    what: "quarantined row, revealed",
    address: ({ row }) => `/p/main/quarantine/${row.segment}/${row.row}`,
    act: (page) => page.getByRole("button", { name: "Reveal what it holds" }).click(),
    shows: (page) => page.getByText("Revealed to you"),
  },
  { what: "audit log", address: "/p/main/audit", shows: (page) => page.getByRole("table", { name: "Entries of the audit log" }) },
  {
    what: "audit log, verified",
    address: "/p/main/audit",
    act: (page) => page.getByRole("button", { name: "Verify the log" }).click(),
    shows: (page) => page.getByText("The log verifies"),
  },
  { what: "audit log of a viewer", address: "/p/main/audit", as: "viewer", status: 403, shows: (page) => page.getByRole("alert") },
  { what: "audit log without a match", address: "/p/main/audit?text=nothing-of-the-kind", shows: (page) => page.getByText("No entry matches") },
  { what: "audit entry", address: (known) => `/p/main/audit/${known.entry}`, shows: heading(/^Entry/) },
  { what: "nothing at this address", address: "/p/main/nowhere", status: 404, shows: (page) => page.getByText("There is nothing at this address") },
  { what: "nothing outside of a project", address: "/nowhere", as: null, status: 404, shows: (page) => page.getByText("There is nothing at this address") },
];

/// Where a picture of each page goes, for people who want to look.
const PICTURES = process.env.WEIR_E2E_PICTURES;

async function picture(page: Page, what: string, how: string) {
  if (!PICTURES) return;
  mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `${what.replaceAll(/[^a-z]+/g, "-")}.${how}.png`), fullPage: true });
}

// Each page is looked at by itself, by whichever worker is free.
test.describe.configure({ mode: "parallel" });

let known: Known;

test.beforeAll("things to look at, on each worker's server", async ({ browser, weir }) => {
  const context = await browser.newContext({ baseURL: weir.address, extraHTTPHeaders: { Origin: weir.address } });
  const api = context.request;
  const ok = async (answer: APIResponse): Promise<any> => {
    expect(answer.ok(), `${answer.url()}: ${answer.ok() ? "" : await answer.text()}`).toBe(true);
    return answer.status() === 204 ? undefined : answer.json();
  };
  await ok(await api.post("/api/v1/session", { data: { name: "admin", password: weir.passwords.admin } }));
  const project = "/api/v1/projects/main";

  const first = payments("pages-versions");
  await ok(await api.post(`${project}/pipelines`, { data: { document: first, note: "as it was" } }));
  const second = first.replace("max: 100000", "max: 50000").replace("        - format: { column: email, is: email }\n", "");
  await ok(await api.put(`${project}/pipelines/pages-versions`, { data: { document: second, expected_version: 1, note: "half the limit" } }));

  const failing = payments("pages-failing").replace(/generator: .*\n/, "file: { path: in/nothing-here.ndjson }\n    format: json\n    contract: payments@1\n");
  await ok(await api.post(`${project}/pipelines`, { data: { document: failing } }));
  await ok(await api.post(`${project}/pipelines/pages-failing/deploy`, { data: {} }));
  const failed = async () => (await ok(await api.get(`${project}/pipelines/pages-failing`))).summary;
  await expect.poll(async () => (await failed()).state, { timeout: 45_000 }).toBe("failed");

  const running = async () => (await ok(await api.get(`${project}/pipelines/payments`))).summary.last_run;
  await expect.poll(async () => (await running())?.rows_quarantined ?? 0).toBeGreaterThan(0);
  const row = (await ok(await api.get(`${project}/quarantine?pipeline=payments&limit=1`))).items[0];
  const entry = (await ok(await api.get(`${project}/audit?kind=run_started&limit=1`))).items[0].index;
  known = { run: (await running()).id, failedRun: (await failed()).last_run.id, row, entry };
  await context.close();
});

for (const { what, address, as, act, shows, status } of CASES) {
  test(what, async ({ open }) => {
    const { page, expects } = await open(as === null ? undefined : (as ?? "admin"));
    if (status) expects(new RegExp(`status of ${status} `));
    const path = typeof address === "string" ? address : address(known);
    await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
    await visit(page, path);
    await act?.(page);
    await expect(shows(page)).toBeVisible();
    expect(await page.title(), "a title that tells the page").toMatch(/^\S.* · Weir$/);
    await picture(page, what, "light");
    await expectAccessible(page, `${what}, light`);

    await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
    await picture(page, what, "dark");

    // Dark and a phone at once: the colours are the same on every width.
    await page.setViewportSize({ width: 390, height: 844 });
    await expect(shows(page)).toBeAttached();
    await expectNoSidewaysScroll(page, `${what}, on a phone`);
    await picture(page, what, "phone");
    await expectAccessible(page, `${what}, dark, on a phone`);
  });
}

test("the phone's menu reaches every place", async ({ open }) => {
  const { page } = await open("admin", { viewport: { width: 390, height: 844 } });
  await visit(page, "/p/main");
  await page.getByRole("banner").locator("summary").filter({ hasText: "Menu" }).click();
  const places = page.getByRole("banner").getByRole("navigation", { name: "Project" });
  await expect(places).toBeVisible();
  await expectAccessible(page, "the open menu");
  await expectNoSidewaysScroll(page, "the open menu");
  await picture(page, "menu", "phone");
  await places.getByRole("link", { name: "Quarantine" }).click();
  await expect(page.getByRole("heading", { name: "Quarantine", level: 1 })).toBeVisible();
  await expect(places).toBeHidden();
});

test("the API's documentation is there without a network", async ({ open }) => {
  const { page } = await open();
  await page.goto("/api/docs");
  await expect(page.getByText("/api/v1/projects/{project}/pipelines/{pipeline}/deploy", { exact: false }).first()).toBeVisible();
});
