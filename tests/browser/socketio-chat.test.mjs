// examples/socketio-chat in two tabs, one on each of its servers, as its README says.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { eventually } from "../clients/harness.mjs";
import { SERVERS } from "../redis/servers.mjs";
import { Browser } from "./browser.mjs";

const SCRIPT = fileURLToPath(new URL("../../examples/socketio-chat/server.mjs", import.meta.url));

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

let browser;
before(async () => (browser = await Browser.start()));
after(() => browser?.close());

/** A person with the page of one server. */
class Person {
  static async on(address, name) {
    const person = new Person();
    person.name = name;
    ({ page: person.page } = await browser.tab({ address }));
    await person.state(`Connected to ${address}`);
    return person;
  }

  state(text) {
    return this.page.getByRole("status").getByText(text, { exact: true }).waitFor();
  }

  async join(room) {
    await this.page.getByLabel("Name").fill(this.name);
    await this.page.getByLabel("Room").fill(room);
    await this.page.getByRole("button", { name: "Join" }).click();
  }

  async say(text) {
    await this.page.getByLabel("Message", { exact: true }).fill(text);
    await this.page.getByRole("button", { name: "Send" }).click();
  }

  async sees(...lines) {
    const shown = this.page.getByRole("list", { name: "Messages" }).getByRole("listitem");
    await shown.nth(lines.length - 1).waitFor();
    assert.deepEqual(await shown.allTextContents(), lines, this.name);
  }
}

// The reference only where it is asked for: this part of the tests does without redis-server.
for (const { name, start } of SERVERS.filter(({ name }) => process.env.REDIS_TESTS_ON || name === "campanile")) {
  describe(name, () => {
    let server;
    let child;
    const addresses = [];
    before(async () => {
      server = await start();
      const chats = [0, 1].map((index) => `0=${server.address(index)}`);
      child = spawn(process.execPath, [SCRIPT, ...chats], { stdio: ["ignore", "pipe", "inherit"] });
      running.add(child);
      child.once("close", () => running.delete(child));
      createInterface({ input: child.stdout }).on("line", (line) => {
        const match = line.match(/^chat at http:\/\/([\d.:]+)\//);
        if (match) addresses.push(match[1]);
      });
      await eventually("both servers listen", () => addresses.length === 2);
    });
    after(async () => {
      child?.kill("SIGKILL");
      await server?.stop();
    });

    test("two people on two servers talk, and a third one elsewhere hears nothing", { timeout: 60_000 }, async () => {
      const [trinity, neo] = await Promise.all([Person.on(addresses[0], "trinity"), Person.on(addresses[1], "neo")]);
      const smith = await Person.on(addresses[1], "smith");
      await trinity.join("matrix");
      await trinity.state("Here: trinity");
      await neo.join("matrix");
      for (const person of [trinity, neo]) await person.state("Here: neo, trinity");
      await smith.join("office");
      await smith.state("Here: smith");

      const [here, there] = addresses.map((address) => address.split(":")[1]);
      await trinity.say("follow the white rabbit");
      await neo.sees(`trinity (${here}): follow the white rabbit`);
      await neo.say("<b>who is this?</b>");
      const both = [`trinity (${here}): follow the white rabbit`, `neo (${there}): <b>who is this?</b>`];
      for (const person of [trinity, neo]) await person.sees(...both);
      await smith.say("hello?");
      await smith.sees(`smith (${there}): hello?`);

      await smith.join("matrix");
      for (const person of [trinity, neo, smith]) await person.state("Here: neo, smith, trinity");
      await neo.page.close();
      for (const person of [trinity, smith]) await person.state("Here: smith, trinity");
      await trinity.say("run");
      await smith.sees(`trinity (${here}): run`);
      await trinity.sees(...both, `trinity (${here}): run`);
    });
  });
}
