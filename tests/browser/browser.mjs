// Chromium without a window, tabs on gateways' pages, and the few things that every test asks of a page.

import assert from "node:assert/strict";

import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox", // CI runs as root
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

// Chromium's own note about a gateway that is away; everything else in the console is a fault.
const EXPECTED = /WebSocket connection to 'ws:\/\/[^']+' failed/;

/** A browser of its own, with a fresh profile. */
export class Browser {
  #browser;
  #contexts = [];
  #complaints = [];

  static async start() {
    const browser = new Browser();
    const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
    browser.#browser = await chromium.launch({ executablePath, args: FLAGS, headless: true });
    return browser;
  }

  /** A tab of its own on the page of `gateway`; `prepare` may act on it before it loads. */
  async tab(gateway, options = {}, prepare = async () => {}) {
    const context = await this.#browser.newContext({ viewport: { width: 1200, height: 900 }, ...options });
    this.#contexts.push(context);
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    page.on("pageerror", (error) => this.#complaints.push(error.message));
    page.on("console", (message) => {
      const bad = ["error", "warning"].includes(message.type()) && !EXPECTED.test(message.text());
      if (bad) this.#complaints.push(message.text());
    });
    await prepare(page);
    await page.goto(`http://${gateway.address}/`);
    return new Tab(page);
  }

  async close() {
    await this.#browser.close();
    assert.deepEqual(this.#complaints, [], "the console of every tab is quiet");
  }
}

/** The end of a test file: the cluster goes also when the browser has complaints. */
export async function end(browser, cluster) {
  try {
    await browser?.close();
  } finally {
    await cluster?.stop();
  }
}

/** What a person does on the page, by what is written on it. */
export class Tab {
  constructor(page) {
    this.page = page;
  }

  state(text) {
    return this.page.getByRole("status").filter({ hasText: text }).waitFor();
  }

  connected(gateway) {
    return this.state(`Connected to ${gateway.address}`);
  }

  /** The row of one topic; `how` is the state that it says. */
  row(topic, how) {
    return this.page.getByRole("listitem").filter({ has: this.page.getByText(topic, { exact: true }) }).filter({ hasText: how });
  }

  joined(topic) {
    return this.row(topic, "joined").waitFor();
  }

  async join(topic) {
    await this.page.getByLabel("Topic", { exact: true }).fill(topic);
    await this.page.getByRole("button", { name: "Join" }).click();
    await this.joined(topic);
  }

  /** Publishes, and waits until that is acknowledged. */
  async publish(payload, event = "event") {
    const text = typeof payload === "string" ? payload : JSON.stringify(payload);
    await this.page.getByLabel("Payload, a JSON object").fill(text);
    await this.page.getByLabel("Event").fill(event);
    await this.page.evaluate(() => (document.getElementById("publish-result").textContent = ""));
    await this.page.getByRole("button", { name: "Publish" }).click();
    await this.page.getByText(/^Acknowledged in /).waitFor();
  }

  /** All messages shown, as text: exactly these, in this order, once the last one is there. */
  async shows(payloads) {
    const shown = this.page.locator("#messages pre");
    const expected = payloads.map((payload) => JSON.stringify(payload));
    await shown.filter({ hasText: expected.at(-1) }).first().waitFor();
    assert.deepEqual(await shown.allTextContents(), expected);
  }

  /** All raw frames shown, heartbeats apart. */
  frames() {
    return this.page.locator("#frames li:not([data-heartbeat]) code").allTextContents();
  }
}
