// One Socket.IO node that counts what reaches it of rooms: node share-server.mjs PORT REDIS sharded|classic
//
// Adapter and client are as they are. What the adapter hands to the client to be called with messages is called through a
// function that counts: whether somebody here is in the message's room when it comes. `GET /share` tells.

import { createServer } from "node:http";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const [port, redis, mode] = process.argv.slice(2);
const publisher = createClient({ url: `redis://${redis}` });
const subscriber = publisher.duplicate();
for (const client of [publisher, subscriber]) client.on("error", (error) => console.error(error));
await Promise.all([publisher.connect(), subscriber.connect()]);

const share = { received: 0, without: 0 };
let io;

/** A room's channel is `socket.io#/#ROOM#`; others are requests and answers among servers. */
const counted = (handle) => (message, channel, ...rest) => {
  const room = channel.toString().match(/^socket\.io#\/#(.+)#$/)?.[1];
  if (room?.startsWith("topics:")) {
    share.received += 1;
    if (!io.of("/").adapter.rooms.has(room)) share.without += 1;
  }
  return handle(message, channel, ...rest);
};
for (const word of ["pSubscribe", "sSubscribe"]) {
  const subscribe = subscriber[word].bind(subscriber);
  subscriber[word] = (name, handle, ...rest) => subscribe(name, counted(handle), ...rest);
}

const http = createServer((request, response) => response.end(JSON.stringify(share)));
io = new Server(http, {
  transports: ["websocket"],
  adapter: (mode === "sharded" ? createShardedAdapter : createAdapter)(publisher, subscriber),
});
io.on("connection", (socket) => {
  socket.on("join", async (topic, answer) => {
    await socket.join(topic);
    // The adapter does not wait for Redis. Answers come in order: behind this one, the room is subscribed.
    await subscriber.ping();
    answer("joined");
  });
  socket.on("publish", (topic, payload, answer) => {
    io.to(topic).emit("bench", payload);
    answer("ok");
  });
  socket.on("alive", (answer) => answer("alive"));
});
await subscriber.ping();
http.listen(Number(port), "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
