// Who may not, cannot: not by the button, not by the address, not by the API; and the attempt is on record.
import { expect, test, visit } from "../console.ts";

const PIPELINE = "/p/main/pipelines/payments";

test("a viewer who tries to deploy is refused everywhere, and the log says so", async ({ open }) => {
  const viewer = await open("viewer");
  const compliance = await open("compliance");
  const refusals = async () => {
    const answer = await compliance.request.get("/api/v1/projects/main/audit?action=pipeline.deploy&outcome=denied&actor=viewer");
    expect(answer.status()).toBe(200);
    return (await answer.json()).items as { index: number; resource: string; kind: string; rule: string }[];
  };
  const before = (await refusals()).length;

  await test.step("the page offers no way and says why", async () => {
    await visit(viewer.page, PIPELINE);
    const stop = viewer.page.getByRole("button", { name: "Stop", exact: true });
    await expect(stop).toBeDisabled();
    await expect(stop).toHaveAccessibleDescription(/permission|may|role/i);
    await expect(viewer.page.getByRole("link", { name: /^(Stop|Deploy)/ })).toHaveCount(0);
  });

  await test.step("by the address", async () => {
    viewer.expects(/status of 403/);
    await visit(viewer.page, `${PIPELINE}?confirm=deploy`);
    const question = viewer.page.getByRole("dialog", { name: /^Deploy version 1 of payments\?$/ });
    await expect(question).toContainText("This is not yours to do");
    await question.getByRole("button", { name: "Deploy" }).click();
    await expect(question.getByRole("alert")).toContainText("Not permitted");
    await expect(question.getByRole("alert")).toContainText("status 403");
  });

  await test.step("by the API", async () => {
    const answer = await viewer.request.post("/api/v1/projects/main/pipelines/payments/deploy", {
      data: {},
      headers: { Origin: new URL(viewer.page.url()).origin },
    });
    expect(answer.status()).toBe(403);
    expect(answer.headers()["content-type"]).toContain("application/problem+json");
    expect(await answer.json()).toMatchObject({ status: 403, title: "Not permitted" });
  });

  await test.step("from another site, with the viewer's cookie", async () => {
    const answer = await viewer.request.post("/api/v1/projects/main/pipelines/payments/deploy", {
      data: {},
      headers: { Origin: "https://elsewhere.example" },
    });
    expect(answer.status()).toBe(403);
  });

  await test.step("the refusal is in the log; the same again within a minute is counted", async () => {
    const found = await refusals();
    expect(found.length).toBe(before + 1);
    expect(found[0]).toMatchObject({ resource: "pipeline:payments", kind: "admin" });
    const { page } = compliance;
    await visit(page, "/p/main/audit");
    await page.getByLabel("Action", { exact: true }).fill("pipeline.deploy");
    await page.getByLabel("Who", { exact: true }).fill("viewer");
    await page.getByLabel("Outcome", { exact: true }).selectOption("Denied");
    await page.getByRole("search").getByRole("button", { name: "Search" }).click();
    await expect(page).toHaveURL(/outcome=denied/);
    const rows = page.getByRole("table", { name: "Entries of the audit log" }).getByRole("row").filter({ hasText: "pipeline:payments" });
    await expect(rows).toHaveCount(before + 1);
    await expect(rows.first()).toContainText("viewer");
    await expect(rows.first()).toContainText("Denied");
    await rows.first().getByRole("link").first().click();
    await expect(page.getByRole("heading", { name: /^Entry/, level: 1 })).toBeVisible();
    await expect(page.getByRole("definition").filter({ hasText: /^pipeline\.deploy$/ })).toBeVisible();
  });
});

test("what a role may not read is refused as a page too", async ({ open }) => {
  const viewer = await open("viewer");
  viewer.expects(/status of 403/);
  await visit(viewer.page, "/p/main/audit");
  await expect(viewer.page.getByRole("alert")).toContainText("Not permitted");
  await expect(viewer.page.getByRole("alert")).toContainText(/Only the roles .* An administrator of the project gives roles/);
  await expect(viewer.page.getByRole("table")).toHaveCount(0);
  await expect(viewer.page.getByRole("search")).toHaveCount(0);
  await expect(viewer.page.getByRole("main").getByRole("button")).toHaveCount(0);
  const row = (await (await viewer.request.get("/api/v1/projects/main/quarantine?limit=1")).json()).items[0];
  await visit(viewer.page, `/p/main/quarantine/${row.segment}/${row.row}`);
  await expect(viewer.page.getByRole("heading", { name: /^Why:/ })).toBeVisible();
  await expect(viewer.page.getByRole("button", { name: "Reveal what it holds" })).toBeDisabled();
});

test("a project that is not yours does not exist", async ({ open }) => {
  const viewer = await open("viewer");
  viewer.expects(/status of 404/);
  await visit(viewer.page, "/p/other");
  await expect(viewer.page.getByRole("alert")).toContainText("Not found");
});
