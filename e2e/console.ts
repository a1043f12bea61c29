// The console as tests meet it: pages for a role, each watched for errors, and what must hold on every page.
import { AxeBuilder } from "@axe-core/playwright";
import { test as base, expect, type APIRequestContext, type BrowserContext, type BrowserContextOptions, type Page } from "@playwright/test";
import { start, type Role, type Server } from "./server.ts";

export { expect };
export type { Page, Role };

/// A browser of its own, signed in or not, whose console is watched until the test ends.
export type Visitor = {
  page: Page;
  /// Requests with the visitor's session, as the page's own scripts would send them.
  request: APIRequestContext;
  /// A console message that belongs to what the test does, such as a refused request.
  expects: (message: RegExp) => void;
};

type Open = (role?: Role, options?: BrowserContextOptions) => Promise<Visitor>;
type State = Awaited<ReturnType<BrowserContext["storageState"]>>;

export const test = base.extend<{ open: Open }, { weir: Server; sessions: Map<Role, State> }>({
  // Each worker has a server of its own, so that workers need not know of one another.
  weir: [
    async ({}, use) => {
      const { server, stop } = await start();
      await use(server);
      await stop();
    },
    { scope: "worker", timeout: 180_000 },
  ],
  sessions: [async ({}, use) => use(new Map()), { scope: "worker" }],
  open: async ({ browser, weir, sessions }, use) => {
    const contexts: BrowserContext[] = [];
    const heard: { text: string; from: Visitor }[] = [];
    const expected = new Map<Visitor, RegExp[]>();
    await use(async (role, options = {}) => {
      const context = await browser.newContext({
        baseURL: weir.address,
        storageState: role && sessions.get(role),
        reducedMotion: "reduce",
        ...options,
      });
      contexts.push(context);
      if (role && !sessions.has(role)) {
        const answer = await context.request.post("/api/v1/session", { data: { name: role, password: weir.passwords[role] } });
        expect(answer.ok(), `sign-in as ${role}`).toBe(true);
        sessions.set(role, await context.storageState());
      }
      const page = await context.newPage();
      const visitor: Visitor = { page, request: context.request, expects: (message) => expected.get(visitor)?.push(message) };
      expected.set(visitor, []);
      const hear = (text: string) => heard.push({ text, from: visitor });
      // Hydration that meets other HTML than it expects says so as a warning or panics.
      page.on("console", (message) => {
        if (["error", "warning"].includes(message.type())) hear(`${message.type()}: ${message.text()} (${message.location().url})`);
      });
      page.on("pageerror", (error) => hear(`uncaught: ${error.message}`));
      page.on("request", (request) => {
        const url = new URL(request.url());
        if (url.protocol.startsWith("http") && url.origin !== weir.address) hear(`request to another site: ${request.url()}`);
      });
      return visitor;
    });
    for (const context of contexts) await context.close();
    const surprises = heard.filter(({ text, from }) => !expected.get(from)?.some((message) => message.test(text)));
    expect(surprises.map(({ text }) => text), "what the browser's console says").toEqual([]);
  },
});

/// Opens an address and waits until the page is alive.
export async function visit(page: Page, address: string) {
  await page.goto(address);
  await alive(page);
}

/// Waits until the browser's part of the console has taken the page over.
export async function alive(page: Page) {
  await expect(page.locator("html")).toHaveAttribute("data-hydrated", "true");
}

/// WCAG 2.1, levels A and AA, as far as axe can tell.
export async function expectAccessible(page: Page, what: string) {
  const { violations } = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]).analyze();
  const found = violations.map((violation) => ({
    rule: violation.id,
    help: violation.help,
    where: violation.nodes.map((node) => `${node.target.join(" ")}: ${node.failureSummary}`),
  }));
  expect(found, `${what}: what axe finds`).toEqual([]);
}

/// The page is no wider than its window.
export async function expectNoSidewaysScroll(page: Page, what: string) {
  const wide = await page.evaluate(() => {
    const room = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= room) return [];
    const scrolls = (element: Element | null): boolean =>
      !!element && (["auto", "scroll", "hidden", "clip"].includes(getComputedStyle(element).overflowX) || scrolls(element.parentElement));
    const sticking = [...document.querySelectorAll("body *")].filter((element) => element.getBoundingClientRect().right > room + 0.5);
    const culprits = sticking.filter((element) => !scrolls(element.parentElement)).map((element) => element.outerHTML.slice(0, 160));
    return [`${document.documentElement.scrollWidth} px in a window of ${room}`, ...culprits.slice(0, 5)];
  });
  expect(wide, `${what}: wider than the window`).toEqual([]);
}

/// `1,234` as 1234.
export function number(text: string | null | undefined): number {
  const digits = /\d[\d,]*/.exec(text ?? "")?.[0];
  return digits === undefined ? NaN : Number(digits.replaceAll(",", ""));
}
