// What the console must not lose, must not repeat, and must say in the right words.
import { alive, expect, expectAccessible, number, test, visit, type Page } from "../console.ts";
import { payments } from "../documents.ts";

const API = "/api/v1/projects/main";
const editorOf = (page: Page) => page.getByRole("textbox", { name: "Pipeline document" });
const leaky = (name: string) => payments(name).replace("        card: { token: { keep_last: 4 } }\n", "");

test("the editor is left while a check waits, and nothing breaks", async ({ open }) => {
  const { page } = await open("engineer");
  for (const wait of [0, 60, 200, 500]) {
    await visit(page, "/p/main/pipelines");
    await page.getByRole("link", { name: "New pipeline" }).click();
    await editorOf(page).fill(payments("left-behind"));
    await page.waitForTimeout(wait);
    await page.getByRole("navigation", { name: "Project" }).getByRole("link", { name: "Runs" }).click();
    await expect(page.getByRole("heading", { name: "Runs", level: 1 })).toBeVisible();
    await page.waitForTimeout(700);
    // A page whose scripts have died still follows links, by loading them anew.
    await expect(page.locator("html")).toHaveAttribute("data-hydrated", "true");
  }
});

test("what is written is kept until it is saved or discarded", async ({ open }) => {
  const { page, request, expects } = await open("engineer");
  const name = "kept-payments";
  const [first, changed] = [payments(name), payments(name).replace("max: 100000", "max: 4242")];
  const made = await request.post(`${API}/pipelines`, { data: { document: first }, headers: { Origin: new URL((await visit(page, "/p/main"), page.url())).origin } });
  expect(made.status(), await made.text()).toBe(201);
  const edit = `/p/main/pipelines/${name}/edit`;
  const back = page.getByText("Your unsaved text is back");

  await visit(page, edit);
  await editorOf(page).fill(changed);
  await test.step("a link and Back", async () => {
    await page.getByRole("link", { name: "Cancel" }).click();
    await expect(page).toHaveURL(`/p/main/pipelines/${name}`);
    await page.goBack();
    await expect(back).toBeVisible();
    await expect(editorOf(page)).toHaveValue(changed);
  });
  await test.step("a page loaded anew", async () => {
    await visit(page, edit);
    await expect(back).toBeVisible();
    await expect(editorOf(page)).toHaveValue(changed);
    await expectAccessible(page, "the editor with what was not saved");
  });
  await test.step("discarded, it is gone for good", async () => {
    await page.getByRole("button", { name: "Discard it and show version 1" }).click();
    await expect(editorOf(page)).toHaveValue(first);
    await visit(page, edit);
    await expect(editorOf(page)).toHaveValue(first);
    await expect(back).toHaveCount(0);
  });
  await test.step("a session that is over", async () => {
    expects(/status of 401/);
    await editorOf(page).fill(changed);
    const cookies = await page.context().cookies();
    await page.context().clearCookies();
    const findings = page.getByRole("complementary", { name: "Findings" });
    await findings.getByRole("button", { name: "Save", exact: true }).click();
    const again = page.getByRole("link", { name: "Sign in again" });
    await expect(again).toHaveAttribute("href", `/sign-in?next=${encodeURIComponent(edit)}`);
    await page.context().addCookies(cookies);
    await visit(page, edit);
    await expect(editorOf(page)).toHaveValue(changed);
    await findings.getByRole("button", { name: "Save", exact: true }).click();
    await expect(page).toHaveURL(`/p/main/pipelines/${name}`);
  });
  await test.step("saved, nothing of it is left over", async () => {
    await expect.poll(() => page.evaluate(() => Object.keys(sessionStorage).filter((key) => key.startsWith("weir.draft:")).length)).toBe(0);
    await visit(page, edit);
    await expect(editorOf(page)).toHaveValue(changed);
    await expect(back).toHaveCount(0);
  });
});

test("a draft that leaks says so by name, and its deployment is refused on record", async ({ open, weir }) => {
  const { page, request } = await open("admin");
  const headers = { Origin: weir.address };
  const name = "leaking-cards";
  expect((await request.post(`${API}/pipelines`, { data: { document: leaky(name) }, headers })).status()).toBe(201);
  await visit(page, `/p/main/pipelines/${name}`);
  await expect(page.getByRole("alert").first()).toContainText("card would leak to clean");
  await expect(page.getByText("no longer plans")).toHaveCount(0);
  const findings = page.getByRole("region", { name: "What stands against it" });
  await expect(findings.getByRole("listitem").first()).toContainText("card");
  const help = findings.locator(".finding__help--lines").first();
  expect(await help.evaluate((element) => getComputedStyle(element).whiteSpace)).toBe("pre-wrap");
  await expect(page.locator(".g-edge--leaks")).toHaveCount(3);
  await expect(page.locator(".g-leak .g-edge-label").first()).toHaveText("card");
  await expectAccessible(page, "a pipeline that leaks");

  expect((await request.post(`${API}/pipelines/${name}/deploy`, { data: {}, headers })).status()).toBe(422);
  await visit(page, "/p/main/audit?outcome=denied&action=pipeline.deploy");
  const entry = page.getByRole("table", { name: "Entries of the audit log" }).getByRole("row").filter({ hasText: `pipeline:${name}` });
  await expect(entry).toHaveCount(1);
  await entry.getByRole("link").first().click();
  await expect(page.getByRole("definition").filter({ hasText: "leak(card -> clean)" })).toBeVisible();
});

test("nobody puts words on the sign-in page", async ({ open }) => {
  const { page, expects } = await open();
  expects(/status of 4\d\d/);
  const crafted = (type: string) =>
    Buffer.from(JSON.stringify({ type: `/problems/${type}`, title: "Call 555-0100", status: 401, detail: "Call 555-0100 now", instance: null, request_id: "call-now" })).toString("base64").replaceAll("+", "-").replaceAll("/", "_");
  for (const [type, shown] of [["locked", "Too many failed sign-ins"], ["call-us", null]] as const) {
    const address = `/sign-in?next=%2Fp%2Fmain&__path=${encodeURIComponent("/fn/session/sign-in")}&__err=${encodeURIComponent(crafted(type))}`;
    const html = await (await page.request.get(address)).text();
    expect(html).not.toContain("555-0100");
    await visit(page, address);
    await expect(page.getByText("555-0100")).toHaveCount(0);
    if (shown) await expect(page.getByRole("alert")).toContainText(shown);
    else await expect(page.getByRole("alert")).toHaveCount(0);
    await expect(page).toHaveURL("/sign-in?next=%2Fp%2Fmain");
  }
});

test("a run tells what it did itself, and its numbers add up to the row", async ({ open, weir }) => {
  test.setTimeout(120_000);
  const { page, request } = await open("admin");
  const headers = { Origin: weir.address };
  const name = "summed-payments";
  const document = payments(name, 300).replace(
    "sinks:\n  clean:\n    from: safe\n",
    "  large:\n    sql: SELECT * FROM safe WHERE amount > 50\n\nsinks:\n  clean:\n    from: large\n",
  );
  const made = await request.post(`${API}/pipelines`, { data: { document }, headers });
  expect(made.status(), await made.text()).toBe(201);
  type Run = { id: string; state: string; rows_in: number; rows_out: number; rows_made: number; rows_quarantined: number; rows_refused: number; rows_filtered: number; rows_absorbed: number };
  const runs = async () => (await (await request.get(`${API}/runs?pipeline=${name}`)).json()).items as Run[];
  const once = async (count: number) => {
    const deployed = await request.post(`${API}/pipelines/${name}/deploy`, { data: {}, headers });
    expect(deployed.status(), await deployed.text()).toBe(202);
    await expect.poll(async () => (await runs()).length, { timeout: 30_000 }).toBe(count);
    await expect.poll(async () => (await runs())[0].rows_out, { timeout: 30_000 }).toBeGreaterThan(200);
    expect((await request.post(`${API}/pipelines/${name}/stop`, { data: {}, headers })).ok()).toBe(true);
    await expect.poll(async () => (await runs())[0].state, { timeout: 30_000 }).toBe("stopped");
  };
  await once(1);
  await once(2);
  const [second, first] = await runs();
  for (const run of [first, second]) {
    expect(run.rows_filtered).toBeGreaterThan(0);
    expect(run.rows_in + run.rows_made).toBe(run.rows_out + run.rows_quarantined + run.rows_refused + run.rows_filtered + run.rows_absorbed);
  }
  const detail = await (await request.get(`${API}/runs/${second.id}`)).json();
  expect(detail.pipeline_rows.rows_in).toBe(first.rows_in + second.rows_in);
  expect(detail.pipeline_rows.rows_quarantined).toBe(first.rows_quarantined + second.rows_quarantined);

  await visit(page, `/p/main/runs/${second.id}`);
  const tile = async (label: string) => number(await page.locator(".stat").filter({ has: page.getByText(label, { exact: true }) }).locator(".stat__value").textContent());
  expect([await tile("Rows in"), await tile("Rows out"), await tile("Quarantined"), await tile("Filtered by SQL")]).toEqual([
    second.rows_in, second.rows_out, second.rows_quarantined, second.rows_filtered,
  ]);
  await expect(page.getByText("✗")).toHaveCount(0);
  await expectAccessible(page, "a second run");
  // One number for what is held, wherever it stands.
  const held = first.rows_quarantined + second.rows_quarantined;
  await visit(page, `/p/main/pipelines/${name}`);
  expect(number(await page.getByRole("navigation", { name: "Pipeline" }).getByRole("link", { name: "Quarantine" }).locator(".tabs__count").textContent())).toBe(held);
  await visit(page, `/p/main/pipelines?text=${name}`);
  const row = page.getByRole("table", { name: "Pipelines" }).getByRole("row").filter({ hasText: name });
  expect(number(await row.locator('[data-label="Quarantined"]').textContent())).toBe(held);
});

test("the keyboard comes back to where it was", async ({ open }) => {
  const { page } = await open("admin");
  await visit(page, "/p/main");
  const menu = page.getByRole("complementary", { name: "Navigation" }).locator("summary").filter({ hasText: "Administrator" });
  await menu.press("Enter");
  await expect(page.getByRole("button", { name: "Sign out" })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("button", { name: "Sign out" })).toBeHidden();
  await expect(menu).toBeFocused();

  await page.getByRole("navigation", { name: "Project" }).getByRole("link", { name: "Pipelines" }).press("Enter");
  await expect(page.getByRole("heading", { name: "Pipelines", level: 1 })).toBeFocused();
  await expect(page.getByRole("status").filter({ hasText: "Pipelines · Weir" })).toBeAttached();

  await visit(page, "/p/main/pipelines/payments");
  const stop = page.getByRole("link", { name: "Stop", exact: true });
  await stop.press("Enter");
  await expect(page.getByRole("dialog")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toBeHidden();
  await expect(stop).toBeFocused();
});

test("typing in the editor can be undone, and Enter keeps the indentation", async ({ open }) => {
  const { page } = await open("engineer");
  await visit(page, "/p/main/new-pipeline");
  const editor = editorOf(page);
  await editor.fill("a:\n  b: 1");
  await page.keyboard.press("End");
  await page.keyboard.press("Tab");
  await expect(editor).toHaveValue("a:\n  b: 1  ");
  await page.keyboard.press("Control+z");
  await expect(editor).toHaveValue("a:\n  b: 1");
  await page.keyboard.press("Control+End");
  await page.keyboard.press("Enter");
  await page.keyboard.type("c:");
  await page.keyboard.press("Enter");
  await page.keyboard.type("d: 2");
  await expect(editor).toHaveValue("a:\n  b: 1\n  c:\n    d: 2");
});

test("while the server does not answer, the last data stays with its age", async ({ open }) => {
  const { page, expects } = await open("viewer");
  expects(/ERR_FAILED|Failed to load resource|Failed to fetch/);
  await visit(page, "/p/main");
  await expect(page.getByRole("table", { name: "Pipelines" })).toBeVisible();
  await page.route("**/fn/**", (route) => route.abort());
  const banner = page.getByText("Weir does not answer");
  await expect(banner).toBeVisible();
  await expect(page.getByRole("table", { name: "Pipelines" })).toBeVisible();
  await expectAccessible(page, "the page of a server that is down");
  await page.unroute("**/fn/**");
  await expect(banner).toBeHidden();
});

test("of many pipelines, those that are searched for are found", async ({ open }) => {
  const { page } = await open("viewer");
  await visit(page, "/p/main/pipelines");
  await page.getByRole("searchbox", { name: "Search" }).fill("sensors");
  await page.getByRole("button", { name: "Search" }).click();
  await expect(page).toHaveURL("/p/main/pipelines?text=sensors");
  const rows = page.getByRole("table", { name: "Pipelines" }).getByRole("row");
  await expect(rows).toHaveCount(2);
  await page.getByRole("searchbox", { name: "Search" }).fill("nothing of the kind");
  await page.keyboard.press("Enter");
  await expect(page.getByText("No pipeline matches")).toBeVisible();
});

test("the decisions of a checkpoint are a table, and people's acts stand by themselves", async ({ open }) => {
  const { page, request } = await open("compliance");
  const entry = (await (await request.get(`${API}/audit?kind=checkpoint&limit=1`)).json()).items[0];
  await visit(page, `/p/main/audit/${entry.index}`);
  const table = page.getByRole("table", { name: "Rows by node" });
  await expect(table.getByRole("row").nth(1)).toBeVisible();
  await expectAccessible(page, "the entry of a checkpoint");
  await page.getByRole("definition").getByRole("link", { name: entry.resource }).click();
  await expect(page).toHaveURL(/\/p\/main\/pipelines\/[^/]+$/);
  await visit(page, "/p/main/audit");
  await page.getByLabel("Kind", { exact: true }).selectOption("people's acts, without checkpoints");
  await page.getByRole("search").getByRole("button", { name: "Search" }).click();
  await expect(page).toHaveURL(/kind=admin/);
  const rows = page.getByRole("table", { name: "Entries of the audit log" });
  await expect(rows.getByText("a checkpoint's decisions")).toHaveCount(0);
  await alive(page);
});
