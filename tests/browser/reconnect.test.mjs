// The page comes back by itself: gateway restarts, silence, failing channels.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { Cluster } from "../clients/harness.mjs";
import { Browser, end } from "./browser.mjs";

let cluster;
let browser;

before(async () => ([cluster, browser] = await Promise.all([Cluster.start(), Browser.start()])));
after(() => end(browser, cluster));

for (const [how, kind] of [["an orderly end", "stop"], ["a crash", "kill"]]) {
  test(`after ${how} of its gateway it reconnects and joins again`, { timeout: 60_000 }, async () => {
    const [gateway, other] = cluster.gateways;
    const topic = `topics:${kind}`;
    const tab = await browser.tab(gateway);
    const witness = await browser.tab(other);
    await tab.join(topic);
    await witness.join(topic);
    await gateway[kind]();
    await tab.state(`Reconnecting to ${gateway.address}`);
    await tab.row(topic, "joins when connected").waitFor();
    await gateway.start();
    await tab.connected(gateway);
    await tab.joined(topic);
    await witness.publish({ after: kind });
    await tab.publish({ back: true });
    await tab.shows([{ after: kind }, { back: true }]);
    await witness.shows([{ after: kind }, { back: true }]);
  });
}

/** Stops the page's clock before it loads: from here on its timers fire only when the test says so. */
async function stopClock(page) {
  await page.clock.install({ time: 0 });
  await page.clock.pauseAt(1_000);
}

test("a person may end the waiting, or the trying", { timeout: 60_000 }, async () => {
  const away = { address: "192.0.2.1:4000" };
  let refuse = true;
  const tab = await browser.tab(cluster.gateways[0], {}, async (page) => {
    await stopClock(page);
    await page.routeWebSocket(/192\.0\.2\.1/, (socket) => refuse && socket.close({ code: 1012 }));
  });
  await tab.connected(cluster.gateways[0]);
  await tab.page.getByLabel("Address").fill(away.address);
  await tab.page.getByRole("button", { name: "Connect", exact: true }).click();
  await tab.state(`Reconnecting to ${away.address}`);
  refuse = false;
  await tab.page.getByRole("button", { name: "Connect now" }).click();
  await tab.connected(away);
  await tab.page.getByRole("button", { name: "Disconnect" }).click();
  await tab.state("Not connected");
});

test("heartbeats: every 30 s, and silence is an end", { timeout: 60_000 }, async () => {
  const heard = [];
  let answering = true;
  const [gateway] = cluster.gateways;
  const tab = await browser.tab(gateway, {}, async (page) => {
    await stopClock(page);
    await page.routeWebSocket(/socket/, (socket) => {
      const server = socket.connectToServer();
      socket.onMessage((text) => {
        heard.push(text);
        server.send(text);
      });
      server.onMessage((text) => answering && socket.send(text));
    });
  });
  const { page } = tab;
  const frames = (count) => page.locator("#frame-count", { hasText: `${count} frame` }).waitFor();
  await tab.connected(gateway);
  await page.clock.runFor(29_990);
  assert.deepEqual(heard, []);
  await page.clock.runFor(10);
  await frames(2);
  assert.deepEqual(heard, ['[null,"1","phoenix","heartbeat",{}]']);
  await page.clock.runFor(100); // draws the frames
  assert.equal(await page.locator("#frames li").count(), 2);
  assert.equal(await page.locator("#frames li").first().isVisible(), false);
  await page.getByLabel("Show heartbeats").check();
  assert.equal(await page.locator("#frames li").first().isVisible(), true);
  answering = false;
  await page.clock.runFor(29_900);
  await frames(3);
  await tab.connected(gateway);
  await page.clock.runFor(30_000);
  await tab.state("the gateway stopped answering");
});

test("channel rules of the protocol", { timeout: 60_000 }, async () => {
  let joins = 0;
  let socket;
  const tab = await browser.tab(cluster.gateways[0], {}, async (page) => {
    await page.routeWebSocket(/socket/, (opened) => {
      socket = opened;
      opened.onMessage((text) => {
        const [joinRef, ref, topic, event] = JSON.parse(text);
        if (event !== "phx_join") return;
        joins += 1;
        const ok = topic !== "topics:down" || joins > 2;
        const payload = ok ? { status: "ok", response: {} } : { status: "error", response: { reason: "owner unreachable" } };
        opened.send(JSON.stringify([joinRef, ref, topic, "phx_reply", payload]));
      });
    });
  });
  const send = (...frame) => socket.send(JSON.stringify(frame));
  await tab.join("topics:rules"); // joins with ref "1"
  send("999", null, "topics:rules", "event", { stale: true });
  send("1", null, "topics:other", "event", { not: "joined" });
  socket.send("no frame");
  socket.send("null");
  socket.send(Buffer.from([9, 9, 9, 9]));
  socket.send(Buffer.concat([Buffer.from([0, 1, 12, 3]), Buffer.from("1topics:rulesbin"), Buffer.from([1, 255])]));
  send(null, null, "topics:rules", "event", { from: "everybody" });
  await tab.page.locator("#messages pre").last().filter({ hasText: "everybody" }).waitFor();
  assert.deepEqual(await tab.page.locator("#messages pre").allTextContents(), ["2 bytes: 01 ff", '{"from":"everybody"}']);

  send("1", "1", "topics:rules", "phx_error", { reason: "channel_crash" });
  await tab.row("topics:rules", "refused: the channel failed, trying again").waitFor();
  await tab.joined("topics:rules");
  assert.equal(joins, 2);

  joins = 0;
  await tab.page.getByLabel("Topic", { exact: true }).fill("topics:down");
  await tab.page.getByRole("button", { name: "Join" }).click();
  await tab.row("topics:down", "refused: owner unreachable, trying again").waitFor();
  await tab.joined("topics:down");
  assert.equal(joins, 3);

  send("2", "2", "topics:rules", "phx_close", {});
  await tab.page.getByText("topics:rules: closed by the gateway.").waitFor();
  await tab.row("topics:rules", "").waitFor({ state: "detached" });
});

test("addresses and delays", async () => {
  const source = await readFile(new URL("../../gateway/src/page/connection.js", import.meta.url), "utf8");
  const { backoff, socketUrl } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
  const path = "/socket/websocket?vsn=2.0.0";
  assert.equal(socketUrl(" 127.0.0.1:4000 ").href, `ws://127.0.0.1:4000${path}`);
  assert.equal(socketUrl("[::1]:4000").href, `ws://[::1]:4000${path}`);
  assert.equal(socketUrl("example.org", "https:").href, `wss://example.org${path}`);
  assert.equal(socketUrl("https://example.org/#here").href, `wss://example.org${path}`);
  assert.equal(socketUrl("wss://example.org/live/socket?token=1").href, "wss://example.org/live/socket?token=1&vsn=2.0.0");
  for (const wrong of ["", "ftp://example.org", "a b", ":4000"]) assert.throws(() => socketUrl(wrong), TypeError, wrong);
  for (const [attempt, step] of [[0, 250], [1, 500], [4, 5_000], [5, 10_000], [500, 10_000]]) {
    assert.equal(backoff(attempt, () => 0), step / 2);
    assert.equal(backoff(attempt, () => 1), step);
  }
});
