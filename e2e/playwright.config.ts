// Two workers, each with a real server of its own: two cores, and the tests of one file run in order unless it says otherwise.
import { defineConfig } from "@playwright/test";

const executablePath = process.env.WEIR_CHROMIUM ?? "/usr/bin/chromium";

export default defineConfig({
  testDir: "tests",
  outputDir: "test-results",
  workers: Number(process.env.WEIR_E2E_WORKERS ?? 2),
  fullyParallel: false,
  forbidOnly: !!process.env.CI,
  retries: 0,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  reporter: [["list"], ["json", { outputFile: process.env.PLAYWRIGHT_JSON_OUTPUT_FILE ?? "test-results/report.json" }]],
  use: {
    browserName: "chromium",
    headless: true,
    screenshot: "only-on-failure",
    // Traces double the time of a run; a screenshot and the page's outline of a failure are always kept.
    trace: process.env.WEIR_E2E_TRACE ? "retain-on-failure" : "off",
    viewport: { width: 1440, height: 900 },
    launchOptions: {
      executablePath,
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
});
