// Every page is complete as HTML: links and forms work before the wasm arrives, and without it.
import { expect, test, type Page } from "../console.ts";
import { lineOf, payments } from "../documents.ts";

test.describe("without JavaScript", () => {
  /// Loads the page again until it shows what is on its way.
  const eventually = (page: Page, shown: () => Promise<void>) =>
    expect(async () => {
      await page.reload();
      await shown();
    }).toPass({ timeout: 30_000 });

  /// The browser loads the wasm that it then may not run, and remarks on it.
  const PRELOADED = /was preloaded using link preload but not used/;

  test("sign in, list, open a pipeline, deploy it, sign out", async ({ open, weir }) => {
    const { page, expects } = await open(undefined, { javaScriptEnabled: false });
    expects(PRELOADED);
    await page.goto("/p/main/pipelines");
    await page.getByLabel("Name").fill("engineer");
    await page.getByLabel("Password").fill("wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByRole("alert")).toContainText("Name or password is wrong");

    await page.getByLabel("Name").fill("engineer");
    await page.getByLabel("Password").fill(weir.passwords.engineer);
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page).toHaveURL("/p/main/pipelines");
    await expect(page.getByRole("table", { name: "Pipelines" }).getByRole("link", { name: "payments", exact: true })).toBeVisible();

    const name = "plain-payments";
    const good = payments(name, 50);
    const bad = good.replace("on_fail:", "on_fial:");
    await page.getByRole("link", { name: "New pipeline" }).click();
    const editor = page.getByRole("textbox", { name: "Pipeline document" });
    await editor.fill(bad);
    await page.getByRole("button", { name: "Save and deploy" }).click();
    await expect(page.getByRole("alert")).toContainText(`line ${lineOf(bad, "on_fial")},`);

    await editor.fill(good);
    await page.getByRole("button", { name: "Save and deploy" }).click();
    const question = page.getByRole("dialog", { name: `Deploy version 1 of ${name}?` });
    await question.getByRole("button", { name: "Deploy" }).click();
    await expect(page).toHaveURL(`/p/main/pipelines/${name}`);
    await eventually(page, async () => {
      await expect(page.getByText("Running", { exact: true })).toBeVisible({ timeout: 500 });
      await expect(page.getByRole("link", { name: "payments: generator" })).toContainText(/[1-9]\S* rows\/s/, { timeout: 500 });
    });

    await page.getByRole("link", { name: "checked: quality" }).click();
    await expect(page.getByRole("region", { name: "Node checked" })).toBeVisible();
    await page.getByRole("link", { name: "Stop", exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Stop after a checkpoint" }).click();
    await eventually(page, () => expect(page.getByText("Stopped", { exact: true })).toBeVisible({ timeout: 500 }));
    await page.getByRole("link", { name: "Delete", exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: `Delete ${name}` }).click();
    await expect(page).toHaveURL("/p/main/pipelines");
    await expect(page.getByRole("link", { name, exact: true })).toHaveCount(0);

    await page.getByRole("complementary", { name: "Navigation" }).getByText("Demo engineer").click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await expect(page).toHaveURL("/sign-in");
  });

  test("search the log, read why a row was held", async ({ open }) => {
    const { page, expects } = await open("compliance", { javaScriptEnabled: false });
    expects(PRELOADED);
    await page.goto("/p/main/audit");
    await page.getByLabel("Kind", { exact: true }).selectOption("a run began");
    await page.getByRole("search").getByRole("button", { name: "Search" }).click();
    await expect(page).toHaveURL(/kind=run_started/);
    await expect(page.getByRole("table", { name: "Entries of the audit log" }).getByRole("row").nth(1)).toContainText("a run began");
    await expect(page.getByRole("button", { name: "Verify the log" })).toBeDisabled();
    // Playwright reads past the text of <noscript>, which people see here.
    await expect(page.getByRole("region", { name: "Verification" }).locator("noscript code")).toBeVisible();

    await page.getByRole("navigation", { name: "Project" }).getByRole("link", { name: "Quarantine" }).click();
    await page.getByRole("table", { name: "Quarantined rows" }).getByRole("link").first().click();
    await expect(page.getByRole("heading", { name: /^Why:/ })).toBeVisible();
    // A reading is recorded, so nothing is read that could not be shown.
    await expect(page.getByRole("button", { name: "Reveal what it holds" })).toBeDisabled();
    await expect(page.getByRole("region", { name: "What it holds" }).locator("noscript code")).toBeVisible();
  });

  test("the theme is a form", async ({ open }) => {
    const { page, expects } = await open("viewer", { javaScriptEnabled: false });
    expects(PRELOADED);
    await page.goto("/p/main/runs");
    await page.getByRole("button", { name: "Dark" }).click();
    await expect(page).toHaveURL(/\/p\/main\/runs\??$/);
    await expect(page.getByRole("button", { name: "Dark", pressed: true })).toBeVisible();
  });
});
