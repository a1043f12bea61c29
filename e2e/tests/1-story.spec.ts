// From sign-in to sign-out: a pipeline is written, mended, deployed and watched, and what it did is proved.
import { alive, expect, number, test, visit } from "../console.ts";
import { lineOf, payments } from "../documents.ts";

test("the demo runs three pipelines, and most of their rows pass", async ({ open }) => {
  const { page, request } = await open("viewer");
  for (const name of ["payments", "sensors", "clicks"]) {
    const summary = async () => (await (await request.get(`/api/v1/projects/main/pipelines/${name}`)).json()).summary;
    await expect.poll(async () => (await summary()).last_run?.rows_out ?? 0, { message: `${name} writes rows` }).toBeGreaterThan(500);
    const { state, last_run: run } = await summary();
    expect(state).toBe("running");
    expect((run.rows_quarantined + run.rows_refused) / run.rows_in, `${name}: the share of rows that were held back`).toBeLessThan(0.15);
    await visit(page, `/p/main/runs/${run.id}`);
    await expect(page.getByText("Every row is accounted for at every node.")).toBeVisible();
  }
});

test("a pipeline from its first line to its evidence", async ({ open, weir }) => {
  test.setTimeout(120_000);
  const { page, expects } = await open();
  const name = "story-payments";

  await test.step("without a session, every page leads to sign-in", async () => {
    await page.goto("/p/main/pipelines");
    await alive(page);
    await expect(page.getByRole("heading", { name: "Sign in", level: 1 })).toBeVisible();
  });

  await test.step("a wrong password is refused", async () => {
    expects(/status of 401/);
    await page.getByLabel("Name").fill("admin");
    await page.getByLabel("Password").fill("not-the-password");
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByRole("alert")).toContainText("Name or password is wrong");
    await expect(page.getByLabel("Name")).toHaveValue("admin");
  });

  await test.step("the right one leads to the page that was asked for", async () => {
    await page.getByLabel("Password").fill(weir.passwords.admin);
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page).toHaveURL("/p/main/pipelines");
    await expect(page.getByRole("heading", { name: "Pipelines", level: 1 })).toBeVisible();
    await expect(page.getByRole("table", { name: "Pipelines" }).getByRole("row")).toHaveCount(4);
  });

  const good = payments(name);
  const editor = page.getByRole("textbox", { name: "Pipeline document" });
  const findings = page.getByRole("complementary", { name: "Findings" });
  const caretLine = () => editor.evaluate((area: HTMLTextAreaElement) => area.value.slice(0, area.selectionStart).split("\n").length);

  await test.step("the editor shows errors at their lines while one types", async () => {
    await page.getByRole("link", { name: "New pipeline" }).click();
    await expect(page.getByRole("heading", { name: "New pipeline", level: 1 })).toBeVisible();
    const bad = good.replace("on_fail: quarantine", "on_fial: quarantine").replace("{ column: email, is: email }", "{ column: email, is: mail }");
    await editor.fill(bad);
    await expect(findings.getByRole("status")).toHaveText("2 errors");
    const finding = (line: number) => findings.getByRole("listitem").filter({ has: page.getByRole("link", { name: `line ${line},` }) });
    const [misspelt, wrong] = [lineOf(bad, "on_fial"), lineOf(bad, "is: mail")];
    await expect(finding(misspelt)).toContainText("on_fial");
    await expect(finding(misspelt)).toContainText("on_fail");
    await expect(finding(wrong)).toContainText("mail");
    await finding(wrong).getByRole("link").click();
    await expect(editor).toBeFocused();
    expect(await caretLine()).toBe(wrong);
    await expect(findings).toContainText("mend them first");
    // The button says why it does nothing; it stays within reach of those who press it all the same.
    await findings.getByRole("button", { name: "Save", exact: true }).click({ force: true });
    await expect(page).toHaveURL("/p/main/new-pipeline");
  });

  await test.step("a leak is found by the plan, with its path and its remedies", async () => {
    await editor.fill(good.replace("        card: { token: { keep_last: 4 } }\n", ""));
    await expect(findings.getByRole("status")).toHaveText(/^[1-9]\d* errors?/);
    await expect(findings.getByRole("listitem").filter({ hasText: "card" }).first()).toContainText("clean");
  });

  await test.step("mended, it has no errors and shows what it would be", async () => {
    await editor.fill(good);
    await expect(findings.getByRole("status")).toHaveText("No errors");
    await expect(page.getByRole("region", { name: "Pipeline graph: 4 nodes" })).toBeVisible();
  });

  await test.step("saved and deployed, it runs", async () => {
    await findings.getByLabel("What changed").fill("the first version");
    await findings.getByRole("button", { name: "Save and deploy" }).click();
    const question = page.getByRole("dialog", { name: `Deploy version 1 of ${name}?` });
    await question.getByRole("button", { name: "Deploy" }).click();
    await expect(page).toHaveURL(`/p/main/pipelines/${name}`);
    await expect(question).toBeHidden();
    await expect(page.getByRole("heading", { name, level: 1 })).toBeVisible();
    await expect(page.getByRole("main").getByText("Running", { exact: true })).toBeVisible();
    await expect(page.getByRole("link", { name: "Stop", exact: true })).toBeVisible();
  });

  await test.step("rows flow through the graph, and their counts rise", async () => {
    const graph = page.getByRole("region", { name: "Pipeline graph" });
    const node = (name: string) => graph.getByRole("link", { name: `${name}:` });
    for (const one of ["payments", "checked", "safe", "clean"]) await expect(node(one)).toContainText(/[1-9][\d.,k]* rows\/s/);
    await expect(node("checked")).toContainText(/[1-9]\S* rejected/);
    await expect(node("checked"), "what is drawn is also told").toHaveAccessibleDescription(/rows\/s.*rejected/);
    const rejected = async () => number(/▲ (\S+) rejected/.exec((await node("checked").textContent()) ?? "")?.[1]);
    const before = await rejected();
    await expect.poll(rejected).toBeGreaterThan(before);
    await node("payments").click();
    const panel = page.getByRole("region", { name: "Node payments" });
    await expect(panel.getByText("✓ balanced")).toBeVisible();
    const rowsIn = async () => number(/([\d,]+)\s*in/.exec((await panel.textContent())?.split("Rows since its first start")[1] ?? "")?.[1]);
    const first = await rowsIn();
    expect(first).toBeGreaterThan(0);
    await expect.poll(rowsIn).toBeGreaterThan(first);
    await panel.getByRole("link", { name: "Close" }).click();
    await expect(panel).toBeHidden();
  });

  await test.step("a quarantined row says why it was held", async () => {
    await page.getByRole("navigation", { name: "Pipeline" }).getByRole("link", { name: "Quarantine" }).click();
    const rows = page.getByRole("table", { name: "Quarantined rows" });
    await rows.getByRole("link").first().click();
    await expect(page.getByRole("heading", { name: /^Row [\d,]+ of payments$/, level: 1 })).toBeVisible();
    await expect(page.getByRole("heading", { name: /^Why: [1-9]\d* reasons?$/ })).toBeVisible();
    await expect(page.getByText("the pipeline went on without it")).toBeVisible();
    await expect(page.getByText("Sealed", { exact: true })).toBeVisible();
    await expect(page.getByRole("table")).toHaveCount(0);
  });

  await test.step("its content is revealed on request, and the reading is an entry of the log", async () => {
    await page.getByRole("button", { name: "Reveal what it holds" }).click();
    await expect(page.getByText("Revealed to you")).toBeVisible();
    const content = page.getByRole("table", { name: "Columns of the row" });
    for (const column of ["tx_id", "customer_id", "amount", "email"]) await expect(content.getByRole("rowheader", { name: column, exact: true })).toBeVisible();
    await page.getByRole("main").getByRole("link", { name: /^entry [\d,]+ of the audit log$/ }).click();
    await expect(page.getByRole("heading", { name: /^Entry [\d,]+$/, level: 1 })).toBeVisible();
    for (const fact of [/^quarantine\.read$/, /^admin$/, /^127\.0\.0\.1$/]) {
      await expect(page.getByRole("definition").filter({ hasText: fact })).toBeVisible();
    }
    // The entries beside it are of this project: each link leads to one.
    const heading = page.getByRole("heading", { name: /^Entry [\d,]+$/, level: 1 });
    const here = (await heading.textContent()) ?? "";
    await page.getByRole("link", { name: "Entry before" }).click();
    await expect(heading).not.toHaveText(here);
    await page.getByRole("link", { name: "Entry after" }).click();
    await expect(heading).toHaveText(here);
  });

  await test.step("the audit log verifies", async () => {
    await page.getByRole("navigation", { name: "Project" }).getByRole("link", { name: "Audit log" }).click();
    await page.getByRole("button", { name: "Verify the log" }).click();
    const verdict = page.getByRole("region", { name: "Verification" });
    await expect(verdict).toContainText("The log verifies");
    await expect(verdict).toContainText(/All [\d,]+ entries were read again/);
    await expect(verdict).toContainText(/Root [0-9a-f]{64}/);
  });

  await test.step("the log tells who did it", async () => {
    await page.getByLabel("Action", { exact: true }).fill("pipeline.deploy");
    await page.getByLabel("Who", { exact: true }).fill("admin");
    await page.getByRole("search").getByRole("button", { name: "Search" }).click();
    await expect(page).toHaveURL(/action=pipeline\.deploy/);
    const entry = page.getByRole("table", { name: "Entries of the audit log" }).getByRole("row").filter({ hasText: `pipeline:${name}` });
    // The address changes at once, the list when the answer is there.
    await expect(entry).toHaveCount(1);
    await expect(entry).toContainText("Allowed");
  });

  await test.step("signed out, the pages are closed again", async () => {
    await page.getByRole("complementary", { name: "Navigation" }).getByText("Administrator").click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await expect(page).toHaveURL("/sign-in");
    await page.goto("/p/main/audit");
    await expect(page).toHaveURL("/sign-in?next=%2Fp%2Fmain%2Faudit");
  });
});
