// Three Socket.IO servers with @socket.io/redis-adapter, classic and sharded, as they are: only the address is another.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { eventually } from "../clients/harness.mjs";
import { SERVERS } from "./servers.mjs";
import { Member, SocketIoServer, received } from "./socketio.mjs";

const KINDS = (process.env.REDIS_SOCKETIO || "classic redis-6,classic ioredis-5,sharded redis-6,sharded ioredis-5")
  .split(",")
  .map((text) => text.split(" "));
const MESSAGES = 300;

for (const { name, start } of SERVERS) {
  describe(name, () => {
    let server;
    before(async () => (server = await start()));
    after(() => server?.stop());
    for (const [mode, client] of KINDS) test(`${mode}, ${client}`, { timeout: 120_000 }, (t) => talk(t, server, mode, client));
  });
}

async function talk(t, server, mode, client) {
  const servers = [];
  const members = new Map();
  const everybody = () => [...members.values()];
  // Each step builds on those before it.
  let whole = true;
  const step = async (what, work) => {
    if (!whole) return;
    whole = false;
    await t.test(what, async () => {
      await work();
      whole = true;
    });
  };
  const add = async (one, at) => members.set(one, await Member.connect(servers[at], one));
  try {
    // Two of them on one gateway, the third on the other one.
    servers.push(...(await Promise.all([0, 1, 2].map((at) => SocketIoServer.start(server.address(at), mode, client, `server-${at}`)))));
    for (const [at, one] of ["ann", "bob", "cas", "dan"].entries()) await add(one, at % 3);
    const [ann, bob, cas, dan] = everybody();
    const all = (...words) => Object.fromEntries(everybody().map((member) => [member.name, words]));

    await step("every server knows how many they are", async () => {
      for (const one of servers) await eventually("three servers", async () => (await one.do("serverCount")) === 3);
    });

    await step("io.emit reaches all, local only its own, broadcast all others", async () => {
      await servers[0].do("emit", "from 0");
      await servers[2].do("emit", "from 2");
      await servers[1].do("local", "local 1");
      ann.emit("broadcast", "ann to others");
      await received(servers, everybody(), {}, {
        ...all("from 0", "from 2", "ann to others"),
        ann: ["from 0", "from 2"],
        bob: ["from 0", "from 2", "ann to others", "local 1"],
      });
    });

    await step("rooms across servers: io.to, socket.to, except, bytes, and a room of nobody", async () => {
      await Promise.all([ann.join("room"), bob.join("room"), cas.join("hall")]);
      await servers[2].do("to", "room", "to the room from a server without members");
      await servers[0].do("to", "hall", "to the hall");
      await servers[1].do("to", "nowhere", "to nobody");
      bob.emit("to", "room", "bob to the room");
      dan.emit("to", "hall", "dan to the hall");
      await servers[1].do("except", "room", "not the room");
      await received(servers, everybody(), { room: ["ann", "bob"], hall: ["cas"] }, {
        ann: ["to the room from a server without members", "bob to the room"],
        bob: ["to the room from a server without members"],
        cas: ["to the hall", "dan to the hall", "not the room"],
        dan: ["not the room"],
      });
      await servers[1].do("bytes", "hall");
      await eventually("bytes", () => cas.said.length > 0);
      assert.deepEqual(Buffer.from(cas.said.splice(0)[0][0]), Buffer.from([0, 255, 13, 10]));
    });

    await step(`${MESSAGES} messages to one room keep their order`, async () => {
      for (let n = 0; n < MESSAGES; n += 1) servers[1].do("to", "room", n);
      await eventually("all of them", () => ann.said.length >= MESSAGES && bob.said.length >= MESSAGES);
      const numbers = Array.from({ length: MESSAGES }, (_, n) => [n]);
      for (const member of [ann, bob]) assert.deepEqual(member.said.splice(0), numbers, member.name);
    });

    await step("fetchSockets finds everybody, and those of a room", async () => {
      const sorted = (sockets) => sockets.map(([one, rooms]) => `${one}: ${rooms.sort()}`).sort();
      for (const one of servers) {
        assert.deepEqual(sorted(await one.do("fetchSockets")), ["ann: room", "bob: room", "cas: hall", "dan: "]);
        assert.deepEqual(sorted(await one.do("fetchSockets", "room")), ["ann: room", "bob: room"]);
        assert.deepEqual(await one.do("fetchSockets", "nowhere"), []);
      }
    });

    await step("socketsJoin, socketsLeave and an acknowledged broadcast reach all servers", async () => {
      await servers[0].do("socketsJoin", "hall", "roof");
      await servers[1].do("socketsJoin", "room", "roof");
      const roof = async () => (await servers[2].do("fetchSockets", "roof")).map(([one]) => one).sort();
      await eventually("three on the roof", async () => String(await roof()) === "ann,bob,cas");
      assert.deepEqual((await servers[2].do("ack", "roof")).sort(), ["ann", "bob", "cas"]);
      await servers[2].do("socketsLeave", "roof", "roof");
      await eventually("nobody on the roof", async () => String(await roof()) === "");
      await bob.leave("room");
      await servers[0].do("to", "room", "without bob");
      await received(servers, everybody(), { room: ["ann"] }, { ann: ["without bob"] });
    });

    await step("serverSideEmit reaches the other servers, and their answers come back", async () => {
      await servers[0].do("serverSideEmit", "you");
      for (const at of [1, 2]) await eventually(`server ${at} hears`, async () => (await servers[at].do("heard")).length > 0);
      assert.deepEqual(await Promise.all(servers.map((one) => one.do("heard"))), [[], [["you"]], [["you"]]]);
      const answers = await servers[1].do("serverSideEmitWithAck", "there");
      assert.deepEqual(answers.sort(), ["server-0 heard there", "server-2 heard there"]);
    });

    await step("a server that dies is no longer waited for", async () => {
      await servers[2].kill();
      members.delete("cas");
      servers.pop();
      for (const one of servers) await eventually("two servers", async () => (await one.do("serverCount")) === 2);
      assert.deepEqual((await servers[0].do("fetchSockets")).map(([one]) => one).sort(), ["ann", "bob", "dan"]);
      assert.deepEqual(await servers[1].do("serverSideEmitWithAck", "again"), ["server-0 heard again"]);
      await servers[1].do("emit", "still here");
      await received(servers, everybody(), {}, all("still here"));
    });

    await step("a new server takes its place", async () => {
      servers.push(await SocketIoServer.start(server.address(2), mode, client, "server-2"));
      await add("eve", 2);
      await members.get("eve").join("room");
      for (const one of servers) await eventually("three servers", async () => (await one.do("serverCount")) === 3);
      await servers[0].do("to", "room", "hello eve");
      await received(servers, everybody(), { room: ["ann", "eve"] }, { ann: ["hello eve"], eve: ["hello eve"] });
      await servers[1].do("disconnectSockets", "room");
      await eventually("the room is disconnected", () => !ann.connected && !members.get("eve").connected);
      assert.ok(bob.connected && dan.connected);
      // The adapter leaves the room's channel and does not look at what comes of it: with a Redis that dies just then, too,
      // the server's process ends.
      await Promise.all(servers.map((one) => one.do("settled")));
      for (const one of ["ann", "eve"]) members.delete(one);
    });

    await step("and all of them go on after a crash of what is between them", async () => {
      await server.process(0).kill();
      await server.process(0).start();
      // While a client connects again it answers with errors.
      const count = (one) => one.do("serverCount").catch((error) => (error.message.includes("ended with") ? Promise.reject(error) : 0));
      for (const one of servers) await eventually("three servers", async () => (await count(one)) === 3, 30_000);
      // What is published while the clients connect again may be lost, with Redis as well.
      const heard = (member) => servers.every((_, at) => member.said.some(([text]) => text === `back ${at}`));
      await eventually("everybody hears every server", async () => {
        await Promise.all(servers.map((one, at) => one.do("emit", `back ${at}`)));
        return everybody().every(heard);
      }, 30_000);
      await Promise.all([bob.join("after"), dan.join("after")]);
      const said = (member) => member.said.filter(([text]) => text === "after the crash").length;
      await servers[2].do("to", "after", "after the crash");
      await eventually("the room after the crash", () => said(bob) === 1 && said(dan) === 1);
    });
  } finally {
    everybody().forEach((member) => member.close());
    await Promise.all(servers.map((one) => one.kill()));
  }
}
