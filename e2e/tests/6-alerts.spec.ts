// A rule that is broken raises one alert, which is seen by all, acknowledged by who may, and found in the audit log.
import { expect, expectAccessible, expectNoSidewaysScroll, test, visit, type Page } from "../console.ts";
import { payments } from "../documents.ts";

const NAME = "watched-payments";
const MESSAGE = "Fewer payments than a second ought to bring";

/// Payments of which there are never enough.
const DOCUMENT = payments(NAME).replace("      on_fail: quarantine\n", "      on_fail: quarantine\n      over: 1s\n      metrics:\n        - row_count: { min: 1000000 }\n        - completeness: { column: email, min: 0.01 }\n").replace(
  "  safe:\n",
  `  volume:
    alert: { from: checked, rule: row_count, severity: critical, message: ${MESSAGE} }
  safe:
`,
);

const row = (page: Page) => page.getByRole("table", { name: "Alerts" }).getByRole("row").filter({ hasText: MESSAGE });

test("an alert from its rule to its acknowledgement", async ({ open, weir }) => {
  test.setTimeout(120_000);
  const [admin, viewer, engineer, compliance] = [await open("admin"), await open("viewer"), await open("engineer"), await open("compliance")];
  const api = "/api/v1/projects/main";
  const headers = { Origin: weir.address };
  const open_alerts = async () => (await (await admin.request.get(`${api}/alerts?state=open&pipeline=${NAME}`)).json()).items as { id: string; raised_leaf: number; message: string }[];

  await test.step("a pipeline with an alert is deployed", async () => {
    const made = await admin.request.post(`${api}/pipelines`, { data: { document: DOCUMENT }, headers });
    expect(made.status(), await made.text()).toBe(201);
    const deployed = await admin.request.post(`${api}/pipelines/${NAME}/deploy`, { data: {}, headers });
    expect(deployed.status(), await deployed.text()).toBe(202);
  });

  await test.step("its cause has one alert, however many windows break the rule", async () => {
    await expect.poll(async () => (await open_alerts()).length, { timeout: 60_000 }).toBe(1);
    const broken = async () => (await (await admin.request.get(`${api}/pipelines/${NAME}/quality`)).json()).find((rule: { rule: string }) => rule.rule === "row_count")?.broken ?? 0;
    await expect.poll(broken, { timeout: 60_000 }).toBeGreaterThan(3);
    expect((await open_alerts()).length).toBe(1);
  });

  const [alert] = await open_alerts();
  const list = `/p/main/alerts?pipeline=${NAME}`;

  await test.step("a viewer sees it and cannot acknowledge it", async () => {
    const { page } = viewer;
    viewer.expects(/status of 403/);
    await visit(page, list);
    await expect(row(page)).toHaveCount(1);
    await expect(row(page)).toContainText("Critical");
    await expect(row(page)).toContainText("Open");
    await expect(row(page)).toContainText("row_count is");
    const button = row(page).getByRole("button", { name: `Acknowledge: ${MESSAGE}` });
    await expect(button).toBeDisabled();
    await expect(button).toHaveAccessibleDescription(/permission|may|role/i);
    await expect(page.getByRole("navigation", { name: "Project" }).first().getByRole("link", { name: /^Alerts \d+ open/ })).toBeVisible();
    await visit(page, `${list}&acknowledge=${alert.id}`);
    const question = page.getByRole("dialog", { name: "Acknowledge this alert?" });
    await expect(question).toContainText("This is not yours to do");
    await question.getByRole("button", { name: "Acknowledge" }).click();
    await expect(question.getByRole("alert")).toContainText("Not permitted");
    const refused = await viewer.request.post(`${api}/alerts/${alert.id}/acknowledge`, { data: {}, headers });
    expect(refused.status()).toBe(403);
  });

  await test.step("an engineer takes note of it", async () => {
    const { page } = engineer;
    await visit(page, list);
    await row(page).getByRole("link", { name: `Acknowledge: ${MESSAGE}` }).click();
    const question = page.getByRole("dialog", { name: "Acknowledge this alert?" });
    await question.getByLabel("Note").fill("The limit is a test's");
    await expectAccessible(page, "the question about an alert");
    await question.getByRole("button", { name: "Acknowledge" }).click();
    await expect(question).toBeHidden();
    await expect(page).toHaveURL(list);
    await expect(row(page)).toContainText("engineer");
    await expect(row(page)).toContainText("The limit is a test's");
    await expect(row(page)).toContainText("Open");
    const twice = await engineer.request.post(`${api}/alerts/${alert.id}/acknowledge`, { data: {}, headers });
    expect(twice.status()).toBe(409);
  });

  await test.step("the audit log has the alert, who took note of it, and who was refused", async () => {
    const { page } = compliance;
    await visit(page, list);
    await row(page).getByRole("link", { name: "Evidence" }).click();
    await expect(page.getByRole("heading", { name: /^Entry/, level: 1 })).toBeVisible();
    await expect(page.getByLabel("The entry as JSON")).toContainText(MESSAGE);
    await visit(page, "/p/main/audit");
    await page.getByLabel("Kind").selectOption("an alert was raised, resolved or forgotten");
    await page.getByRole("button", { name: "Search" }).click();
    const entries = page.getByRole("table", { name: "Entries of the audit log" }).getByRole("row");
    await expect(entries.filter({ hasText: "alert.raise" }).filter({ hasText: NAME })).toHaveCount(1);
    await visit(page, "/p/main/audit?action=alert.acknowledge");
    await expect(entries.filter({ hasText: alert.id }).filter({ hasText: "Allowed" })).toHaveCount(1);
    await expect(entries.filter({ hasText: alert.id }).filter({ hasText: "Denied" })).toHaveCount(1);
  });

  await test.step("what the rules measured is drawn, and is there as a table", async () => {
    const { page } = viewer;
    await visit(page, `/p/main/pipelines/${NAME}/quality`);
    const rule = page.getByRole("region", { name: "row_count" });
    await expect(rule.getByRole("img", { name: /^row_count from .* broken/ })).toBeVisible();
    await rule.getByText("As a table").click();
    await expect(rule.getByRole("table").getByText("Broken").first()).toBeVisible();
    await expect(page.getByRole("region", { name: "completeness(email)" }).getByText("Kept").first()).toBeVisible();
  });

  await test.step("windows add up to hours, at an address of its own", async () => {
    const { page } = viewer;
    await visit(page, `/p/main/pipelines/${NAME}/quality?span=day`);
    await page.getByRole("navigation", { name: "Points" }).getByRole("link", { name: "Hours" }).click();
    await expect(page).toHaveURL(`/p/main/pipelines/${NAME}/quality?span=day&by=hour`);
    await expect(page.getByRole("navigation", { name: "Points" }).getByRole("link", { name: "Hours" })).toHaveAttribute("aria-current", "true");
    const rule = page.getByRole("region", { name: "row_count" });
    await expect(rule.getByRole("img", { name: /^row_count from .* points?, / })).toBeVisible();
    // The count of an hour is that of all its windows. The page may load anew between the two looks.
    await expect(async () => {
      const cell = async (label: string) => (await rule.locator(`tbody td[data-label="${label}"]`).first().textContent())?.replace(/\D/g, "");
      expect(await cell("Value")).toMatch(/^\d+$/);
      expect(await cell("Value")).toBe(await cell("Rows"));
    }).toPass({ timeout: 30_000 });
  });

  await test.step("all of it can be read by everyone", async () => {
    const { page } = engineer;
    for (const path of [list, `/p/main/pipelines/${NAME}`, `/p/main/pipelines/${NAME}/alerts`, `/p/main/pipelines/${NAME}/quality`, `/p/main/pipelines/${NAME}/quality?by=hour`]) {
      await page.setViewportSize({ width: 1280, height: 900 });
      await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
      await visit(page, path);
      await expectAccessible(page, `${path}, light`);
      await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
      await page.setViewportSize({ width: 390, height: 844 });
      await expectNoSidewaysScroll(page, `${path}, on a phone`);
      await expectAccessible(page, `${path}, dark, on a phone`);
    }
  });

  await test.step("a deleted pipeline leaves no alert open", async () => {
    expect((await admin.request.post(`${api}/pipelines/${NAME}/stop`, { data: {}, headers })).ok()).toBe(true);
    const state = async () => (await (await admin.request.get(`${api}/pipelines/${NAME}`)).json()).summary.state;
    await expect.poll(state, { timeout: 60_000 }).toBe("stopped");
    expect((await admin.request.delete(`${api}/pipelines/${NAME}?expected_version=1`, { headers })).ok()).toBe(true);
    expect(await open_alerts()).toEqual([]);
    await visit(viewer.page, list);
    await expect(row(viewer.page)).toContainText("Forgotten");
  });
});
