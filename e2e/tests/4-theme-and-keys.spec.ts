// Light and dark, and the keyboard.
import { expect, test, visit, type Page } from "../console.ts";

/// How light the page's ground is, from 0 to 1.
const ground = (page: Page) =>
  page.evaluate(() => {
    const canvas = document.createElement("canvas").getContext("2d")!;
    canvas.fillStyle = getComputedStyle(document.body).backgroundColor;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data;
    return (r + g + b) / (3 * 255);
  });
const expectDark = (page: Page) => expect.poll(() => ground(page)).toBeLessThan(0.2);
const expectLight = (page: Page) => expect.poll(() => ground(page)).toBeGreaterThan(0.8);

test("the theme follows the system until one is chosen, and the choice stays", async ({ open }) => {
  const { page } = await open("viewer", { colorScheme: "light" });
  await visit(page, "/p/main");
  const theme = page.getByRole("group", { name: "Theme" });
  await expect(theme.getByRole("button", { name: "As the system", pressed: true })).toBeVisible();
  await expectLight(page);
  await page.emulateMedia({ colorScheme: "dark" });
  await expectDark(page);

  await theme.getByRole("button", { name: "Light" }).click();
  await expectLight(page);
  await expect(theme.getByRole("button", { name: "Light", pressed: true })).toBeVisible();
  await page.emulateMedia({ colorScheme: "light" });
  await theme.getByRole("button", { name: "Dark" }).click();
  await expectDark(page);
  await expect.poll(async () => (await page.context().cookies()).find((cookie) => cookie.name === "weir_theme")?.value).toBe("dark");

  await visit(page, "/p/main/runs");
  await expect(theme.getByRole("button", { name: "Dark", pressed: true })).toBeVisible();
  await expectDark(page);
  const html = await (await page.request.get("/p/main/runs")).text();
  expect(html, "the first paint is right").toMatch(/<html[^>]* data-theme="dark"/);

  await theme.getByRole("button", { name: "As the system" }).click();
  await expectLight(page);
});

test("the keyboard reaches every place", async ({ open }) => {
  const { page } = await open("admin");
  await visit(page, "/p/main");
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to the page" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("main")).toBeFocused();
  for (const [key, heading] of [["p", "Pipelines"], ["r", "Runs"], ["l", "Alerts"], ["q", "Quarantine"], ["a", "Audit log"], ["o", "Overview"]]) {
    await page.keyboard.press("g");
    await page.keyboard.press(key);
    await expect(page.getByRole("heading", { name: heading, level: 1 })).toBeVisible();
  }
  await page.keyboard.press("g");
  await page.keyboard.press("a");
  await expect(page.getByRole("heading", { name: "Audit log", level: 1 })).toBeVisible();
  await page.keyboard.press("/");
  await expect(page.getByRole("searchbox", { name: "Search" })).toBeFocused();
  await page.keyboard.type("gp");
  await expect(page.getByRole("searchbox", { name: "Search" })).toHaveValue("gp");
});

test("a question holds the focus, and Escape takes it back", async ({ open }) => {
  const { page } = await open("admin");
  await visit(page, "/p/main/pipelines/payments");
  await page.getByRole("link", { name: "Stop", exact: true }).click();
  const question = page.getByRole("dialog", { name: "Stop payments?" });
  await expect(question).toBeVisible();
  for (let presses = 0; presses < 6; presses++) await page.keyboard.press("Tab");
  expect(await page.evaluate(() => document.activeElement === document.body || !!document.activeElement?.closest("dialog"))).toBe(true);
  await page.keyboard.press("Escape");
  await expect(question).toBeHidden();
  await expect(page).toHaveURL("/p/main/pipelines/payments");
  await page.goBack();
  await expect(question).toBeVisible();
});

test("Tab indents in the editor, and Escape gives it back", async ({ open }) => {
  const { page } = await open("engineer");
  await visit(page, "/p/main/new-pipeline");
  const editor = page.getByRole("textbox", { name: "Pipeline document" });
  await editor.fill("a:\nb: 1");
  await page.keyboard.press("Tab");
  await expect(editor).toHaveValue("a:\nb: 1  ");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Tab");
  await expect(editor).not.toBeFocused();
});
