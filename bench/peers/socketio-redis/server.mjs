// One Socket.IO node: rooms, and what the generator's adapter expects (bench/src/protocol/socketio.rs).

import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const [port, redisPort] = process.argv.slice(2).map(Number);
const publisher = createClient({ socket: { host: "127.0.0.1", port: redisPort } });
const subscriber = publisher.duplicate();
for (const client of [publisher, subscriber]) client.on("error", (error) => console.error(error));
await Promise.all([publisher.connect(), subscriber.connect()]);

const http = createServer();
const io = new Server(http, { transports: ["websocket"], adapter: createAdapter(publisher, subscriber) });
// As the page on performance tuning recommends: the first HTTP request of a connection is not kept in memory.
io.engine.on("connection", (raw) => {
  raw.request = null;
});
io.on("connection", (socket) => {
  socket.on("join", async (topic, answer) => {
    await socket.join(topic);
    answer("joined");
  });
  socket.on("publish", (topic, payload, answer) => {
    io.to(topic).emit("bench", payload);
    answer("ok");
  });
  socket.on("alive", (answer) => answer("alive"));
});
http.listen(port, "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
