// Raw frames: shown in both directions, whole when copied, and a bounded number of them.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Cluster } from "../clients/harness.mjs";
import { Browser, end } from "./browser.mjs";

let cluster;
let browser;

before(async () => ([cluster, browser] = await Promise.all([Cluster.start({ gateways: 1 }), Browser.start()])));
after(() => end(browser, cluster));

const T = "topics:matrix";
const OK = { status: "ok", response: {} };
const MATRIX = { message: "red pill or blue pill?" };

test("what goes over the wire is what is shown and copied", { timeout: 60_000 }, async () => {
  const tab = await browser.tab(cluster.gateways[0], { permissions: ["clipboard-read", "clipboard-write"] });
  const { page } = tab;
  await tab.join(T);
  await tab.publish(MATRIX);
  await tab.shows([MATRIX]);
  const frames = [
    ["↑", ["1", "1", T, "phx_join", {}]],
    ["↓", ["1", "1", T, "phx_reply", OK]],
    ["↑", ["1", "2", T, "publish", ["event", MATRIX]]],
    ["↓", ["1", "2", T, "phx_reply", OK]],
    ["↓", ["1", null, T, "event", MATRIX]],
  ];
  assert.deepEqual((await tab.frames()).map((text) => JSON.parse(text)), frames.map(([, frame]) => frame));
  assert.deepEqual(await page.locator("#frames .way").allTextContents(), frames.map(([way]) => way));

  const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
  await page.getByRole("button", { name: "Copy all" }).click();
  await page.getByText("Copied 5 frames.").waitFor();
  const lines = (await clipboard()).split("\n").map((line) => [line[0], JSON.parse(line.slice(2))]);
  assert.deepEqual(lines, frames);

  await page.getByRole("button", { name: "Copy this sent frame" }).last().click();
  await page.getByText(/^Copied one frame/).waitFor();
  assert.deepEqual(JSON.parse(await clipboard()), frames[2][1]);

  const long = { text: "x".repeat(20_000) };
  await tab.publish(long);
  await page.getByText(/more characters\)$/).first().waitFor();
  await page.getByRole("button", { name: "Copy this sent frame" }).last().click();
  await page.getByText(/^Copied one frame, 20/).waitFor();
  assert.deepEqual(JSON.parse(await clipboard()).at(-1), ["event", long], "a copy is whole where the view is cut");

  await page.locator("#clear-frames").click();
  assert.deepEqual(await tab.frames(), []);
});

test("copying works where the clipboard API is missing", { timeout: 60_000 }, async () => {
  const tab = await browser.tab(cluster.gateways[0], {}, (page) =>
    page.addInitScript(() => Object.defineProperty(navigator, "clipboard", { value: undefined })),
  );
  await tab.join("topics:old-way");
  await tab.page.getByRole("button", { name: "Copy this sent frame" }).click();
  await tab.page.getByText(/^Copied one frame/).waitFor();
  await tab.page.getByLabel("Payload, a JSON object").fill("");
  await tab.page.getByLabel("Payload, a JSON object").press("Control+V");
  assert.equal(await tab.page.getByLabel("Payload, a JSON object").inputValue(), '["1","1","topics:old-way","phx_join",{}]');
});

test("a busy topic keeps the page small", { timeout: 60_000 }, async () => {
  const tab = await browser.tab(cluster.gateways[0]);
  await tab.join("topics:busy");
  await tab.page.evaluate(() => {
    const form = document.getElementById("publish-form");
    for (let n = 0; n < 500; n++) {
      document.getElementById("payload").value = JSON.stringify({ n });
      form.requestSubmit();
    }
  });
  await tab.page.getByText("500 received, the last 200 shown").waitFor();
  await tab.page.locator("#messages pre", { hasText: '{"n":499}' }).waitFor();
  const shown = (await tab.page.locator("#messages pre").allTextContents()).map((text) => JSON.parse(text).n);
  assert.deepEqual(shown, Array.from({ length: 200 }, (_, index) => 300 + index));
  assert.equal(await tab.page.locator("#frames li").count(), 300);
  await tab.page.getByText("1502 frames, the last 300 kept").waitFor();
});
