// Two tabs on two gateways talk to each other, and what comes in is shown as text.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Cluster } from "../clients/harness.mjs";
import { Browser, end } from "./browser.mjs";

let cluster;
let browser;

before(async () => ([cluster, browser] = await Promise.all([Cluster.start(), Browser.start()])));
after(() => end(browser, cluster));

const MATRIX = { message: "red pill or blue pill?" };

test("with nothing typed, two tabs on two gateways talk", { timeout: 60_000 }, async () => {
  const tabs = await Promise.all(cluster.gateways.map((gateway) => browser.tab(gateway)));
  for (const [index, tab] of tabs.entries()) {
    await tab.connected(cluster.gateways[index]);
    assert.match(await tab.page.title(), new RegExp(`^${cluster.gateways[index].address} `));
    await tab.page.getByRole("button", { name: "Join" }).click();
    await tab.joined("topics:matrix");
  }
  for (const tab of tabs) {
    await tab.page.getByRole("button", { name: "Publish" }).click();
    await tab.page.getByText(/^Acknowledged in /).waitFor();
  }
  for (const [index, tab] of tabs.entries()) await tab.publish({ last: index });
  for (const tab of tabs) {
    await tab.shows([MATRIX, MATRIX, { last: 0 }, { last: 1 }]);
    await tab.page.getByText("4 received").waitFor();
  }
});

test("a tab switches to another gateway and takes its topics along", { timeout: 60_000 }, async () => {
  const [one, other] = cluster.gateways;
  const tab = await browser.tab(one);
  const witness = await browser.tab(other);
  await tab.connected(one);
  for (const topic of ["topics:first", "topics:second"]) {
    await tab.join(topic);
    await witness.join(topic);
  }
  await tab.page.getByLabel("Address").fill(other.address);
  await tab.page.getByRole("button", { name: "Connect", exact: true }).click();
  await tab.connected(other);
  await tab.joined("topics:first");
  await tab.joined("topics:second");
  await witness.page.getByLabel("To topic").selectOption("topics:first");
  await witness.publish({ to: "first" });
  await tab.shows([{ to: "first" }]);
});

test("several topics: publish to one, leave one", { timeout: 60_000 }, async () => {
  const tab = await browser.tab(cluster.gateways[0]);
  await tab.join("topics:left");
  await tab.join("topics:kept");
  await tab.page.getByRole("button", { name: "Leave topics:left" }).click();
  await tab.row("topics:left", "").waitFor({ state: "detached" });
  assert.deepEqual(await tab.page.getByLabel("To topic").locator("option").allTextContents(), ["topics:kept"]);
  await tab.publish({ n: 1 });
  await tab.shows([{ n: 1 }]);
});

test("refusals are told", { timeout: 60_000 }, async () => {
  const tab = await browser.tab(cluster.gateways[0]);
  const { page } = tab;
  await page.getByRole("button", { name: "Publish" }).click();
  await page.getByText("Join a topic first.").waitFor();
  await tab.join("topics:refusals");
  await page.getByLabel("Payload, a JSON object").fill("{not json");
  await page.getByRole("button", { name: "Publish" }).click();
  await page.getByText(/^The payload is not JSON: /).waitFor();
  await page.getByLabel("Payload, a JSON object").fill('"no object"');
  await page.getByRole("button", { name: "Publish" }).click();
  await page.getByText(/^Refused: .*not published/).waitFor();
  await page.getByLabel("Topic", { exact: true }).fill("x".repeat(300));
  await page.getByRole("button", { name: "Join" }).click();
  await tab.row("x".repeat(300), "refused: unmatched topic").waitFor();
  await page.getByLabel("Address").fill("not an address");
  await page.getByRole("button", { name: "Connect", exact: true }).click();
  await page.getByText(/^An address looks like /).waitFor();
  await tab.connected(cluster.gateways[0]);
});

test("hostile text stays text", { timeout: 60_000 }, async () => {
  const [tab, witness] = await Promise.all(cluster.gateways.map((gateway) => browser.tab(gateway)));
  const bad = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>';
  const topic = `topics:${bad}`;
  await tab.join(topic);
  await witness.join(topic);
  const payload = { [bad]: bad, __proto__x: "\u202e\u0000 </pre>" };
  await tab.publish(payload, bad);
  for (const { page } of [tab, witness]) {
    await page.locator("#messages pre").waitFor();
    assert.equal(await page.locator("#messages pre").textContent(), JSON.stringify(payload));
    assert.equal(await page.locator("#messages .event").textContent(), bad);
    assert.equal(await page.locator("main img, main script").count(), 0);
    assert.equal(await page.evaluate(() => window.hit), undefined);
  }
});

test("the page asks nobody but its gateway", { timeout: 60_000 }, async () => {
  const asked = [];
  const [gateway] = cluster.gateways;
  const tab = await browser.tab(gateway, {}, (page) => page.on("request", (request) => asked.push(request.url())));
  await tab.connected(gateway);
  const own = (url) => url.startsWith(`http://${gateway.address}/`) || url.startsWith("data:image/svg+xml,");
  assert.deepEqual(asked.filter((url) => !own(url)), []);
});
