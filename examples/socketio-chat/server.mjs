// A chat on Socket.IO servers that share their rooms through Redis pub/sub, which a Campanile cluster speaks.
//
//   node server.mjs [PORT=REDIS…]     by default 3000=127.0.0.1:6379 3001=127.0.0.1:6380
//
// Each PORT is a server of its own; in production each would be a process. Nothing here knows of Campanile.

import { createReadStream } from "node:fs";
import { createServer } from "node:http";

import { createShardedAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const servers = process.argv.length > 2 ? process.argv.slice(2) : ["3000=127.0.0.1:6379", "3001=127.0.0.1:6380"];
for (const server of servers) await start(...server.split("="));

async function start(port, redis) {
  const publisher = createClient({ url: `redis://${redis}` });
  const subscriber = publisher.duplicate();
  // They connect and subscribe again by themselves.
  for (const client of [publisher, subscriber]) client.on("error", (error) => console.error(`${redis}: ${error.message || error.code}`));
  await Promise.all([publisher.connect(), subscriber.connect()]);

  const http = createServer((_, response) => {
    response.setHeader("content-type", "text/html; charset=utf-8");
    createReadStream(new URL("index.html", import.meta.url)).pipe(response);
  });
  // Sharded: a room's messages go only to servers with somebody in it. The classic adapter sends all to all.
  const io = new Server(http, { adapter: createShardedAdapter(publisher, subscriber) });

  // Everybody in the room, on whichever server.
  const tellPeople = async (room) => {
    const people = (await io.in(room).fetchSockets()).map(({ data }) => data.name);
    io.to(room).emit("people", people.sort());
  };

  io.on("connection", (socket) => {
    socket.on("join", async (name, room, joined) => {
      if (![name, room].every((text) => typeof text === "string" && text.length > 0 && text.length <= 40)) return;
      const { room: before } = socket.data;
      socket.data = { name, room };
      if (before) await socket.leave(`chat:${before}`);
      await socket.join(`chat:${room}`);
      // The adapter does not wait for Redis. Answers come in order: behind this one, the room is subscribed.
      await subscriber.ping();
      joined?.();
      if (before) await tellPeople(`chat:${before}`);
      await tellPeople(`chat:${room}`);
    });
    socket.on("say", (text) => {
      const { name, room } = socket.data;
      if (room && typeof text === "string" && text.length <= 1_000) io.to(`chat:${room}`).emit("said", { name, text, at: port });
    });
    socket.on("disconnect", () => {
      if (socket.data.room) tellPeople(`chat:${socket.data.room}`).catch((error) => console.error(error.message));
    });
  });

  await new Promise((listening) => http.listen(Number(port), "127.0.0.1", listening));
  port = http.address().port;
  console.log(`chat at http://127.0.0.1:${port}/, through ${redis}`);
}
