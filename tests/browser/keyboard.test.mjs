// Everything works with the keyboard alone, and it is always visible where one is.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Cluster } from "../clients/harness.mjs";
import { Browser, end } from "./browser.mjs";

let cluster;
let browser;

before(async () => ([cluster, browser] = await Promise.all([Cluster.start({ gateways: 1 }), Browser.start()])));
after(() => end(browser, cluster));

/** What has the focus: its id, or else its name for people; and whether it shows. */
function focused(page) {
  return page.evaluate(() => {
    const node = document.activeElement;
    const style = getComputedStyle(node);
    const name = node.id || node.getAttribute("aria-label") || node.textContent.trim().slice(0, 80);
    return { name, visible: style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) >= 2 };
  });
}

async function tabTo(page, name) {
  for (let stops = 0; stops < 40; stops++) {
    await page.keyboard.press("Tab");
    if ((await focused(page)).name === name) return;
  }
  assert.fail(`the Tab key never reaches ${name}`);
}

test("one walk over the page, in the order of reading", { timeout: 60_000 }, async () => {
  const tab = await browser.tab(cluster.gateways[0]);
  await tab.join("topics:walk");
  await tab.publish({ n: 1 });
  await tab.shows([{ n: 1 }]);
  const expected = [
    ...["address", "connect", "disconnect"],
    ...["topic", "Join", "Leave topics:walk"],
    ...["publish-topic", "event", "payload", "Publish"],
    ...["clear-messages", "messages"],
    ...["show-heartbeats", "copy-frames", "clear-frames", "Copy this received frame"],
  ];
  await tab.page.locator("#address").focus();
  const walk = ["address"];
  while (walk.length < expected.length) {
    await tab.page.keyboard.press("Tab");
    const { name, visible } = await focused(tab.page);
    walk.push(name);
    assert.ok(visible, `the focus shows at the end of ${walk.join(", ")}`);
  }
  assert.deepEqual(walk, expected);
});

test("join, publish, read, copy a frame, leave", { timeout: 60_000 }, async () => {
  const tab = await browser.tab(cluster.gateways[0], { permissions: ["clipboard-read", "clipboard-write"] });
  const { page } = tab;
  const { keyboard } = page;
  await tab.connected(cluster.gateways[0]);

  await tabTo(page, "topic");
  await keyboard.press("Control+A");
  await keyboard.type("topics:keys");
  await keyboard.press("Enter");
  await tab.joined("topics:keys");

  await tabTo(page, "payload");
  await keyboard.press("Control+A");
  await keyboard.type('{"typed":');
  await keyboard.press("Shift+Enter");
  await keyboard.type("true}");
  await keyboard.press("Enter");
  await tab.shows([{ typed: true }]);

  await tabTo(page, "Copy this received frame");
  const frames = await tab.frames();
  await keyboard.press("ArrowUp"); // from the event to the reply before it, and on to the publish
  await keyboard.press("ArrowUp");
  assert.equal((await focused(page)).name, "Copy this sent frame");
  await keyboard.press("Enter");
  await page.getByText(/^Copied one frame/).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), frames.at(-3));

  await tabTo(page, "Leave topics:keys");
  await keyboard.press("Enter");
  await tab.row("topics:keys", "").waitFor({ state: "detached" });
  assert.equal((await focused(page)).name, "topic", "the focus does not get lost with the row");
});
