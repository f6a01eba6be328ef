// On a phone, in the light and in the dark: nothing hangs over, everything can be hit and read.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Cluster } from "../clients/harness.mjs";
import { Browser, end } from "./browser.mjs";

let cluster;
let browser;

before(async () => ([cluster, browser] = await Promise.all([Cluster.start({ gateways: 1 }), Browser.start()])));
after(() => end(browser, cluster));

const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

/** A page with something in every place, the widest that may come. */
async function full(options) {
  const tab = await browser.tab(cluster.gateways[0], options);
  await tab.connected(cluster.gateways[0]);
  await tab.join("topics:matrix");
  await tab.join(`topics:${"wide".repeat(50)}`);
  await tab.page.getByLabel("Topic", { exact: true }).fill(`refused:${"x".repeat(300)}`);
  await tab.page.getByRole("button", { name: "Join" }).click();
  await tab.row(`refused:${"x".repeat(300)}`, "unmatched topic").waitFor();
  await tab.page.getByLabel("To topic").selectOption("topics:matrix");
  await tab.publish({ text: "y".repeat(1_000) }, "z".repeat(200));
  await tab.page.locator("#messages pre").waitFor();
  return tab;
}

test("360 pixels are wide enough", { timeout: 60_000 }, async () => {
  const { page } = await full(PHONE);
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.equal(width, 360, "no scrolling sideways");
  const outside = await page.evaluate(() => {
    const wide = (node) => node.getBoundingClientRect().right > innerWidth + 0.5;
    return [...document.querySelectorAll("main *")].filter(wide).map((node) => node.outerHTML.slice(0, 80));
  });
  assert.deepEqual(outside, []);
});

test("fingers can hit everything", { timeout: 60_000 }, async () => {
  const { page } = await full(PHONE);
  const small = await page.evaluate(() => {
    const targets = [...document.querySelectorAll("button, select, textarea, input:not([type=checkbox]), .check label")];
    return targets.filter((node) => node.getBoundingClientRect().height < 43.5).map((node) => node.outerHTML.slice(0, 80));
  });
  assert.deepEqual(small, []);
  // Text below 16 px in a field makes phones zoom in.
  const tiny = await page.evaluate(() =>
    [...document.querySelectorAll("input, select, textarea")].filter((node) => Number.parseFloat(getComputedStyle(node).fontSize) < 16).map((node) => node.id),
  );
  assert.deepEqual(tiny, []);
});

test("every field and button has a name", { timeout: 60_000 }, async () => {
  const { page } = await full({});
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll("button, input, select, textarea")]
      .filter((node) => !node.labels?.length && !node.getAttribute("aria-label") && !node.textContent.trim())
      .map((node) => node.outerHTML),
  );
  assert.deepEqual(nameless, []);
});

for (const colorScheme of ["light", "dark"]) {
  test(`text stands out from its ground, ${colorScheme}`, { timeout: 60_000 }, async () => {
    const { page } = await full({ colorScheme, reducedMotion: "reduce" });
    const faint = await page.evaluate(() => {
      const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
      const light = (colour) => {
        const [r, g, b] = numbers(colour).map((part) => part / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const ground = (node) => {
        for (; node; node = node.parentElement) {
          const colour = getComputedStyle(node).backgroundColor;
          if ((numbers(colour)[3] ?? 1) > 0) return colour;
        }
      };
      const found = [];
      for (const node of document.querySelectorAll("h1, h2, p, label, button, input, select, textarea, kbd, .count, .name, .how, .meta *, pre, code, .way")) {
        if (node.offsetParent === null || !(node.textContent || node.value)) continue;
        const [a, b] = [light(getComputedStyle(node).color), light(ground(node))].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) found.push(`${node.outerHTML.slice(0, 60)} ${ratio.toFixed(2)}`);
      }
      return found;
    });
    assert.deepEqual(faint, []);
  });
}
