// One Socket.IO server as its manual shows it: node socketio-server.mjs HOST:PORT classic|sharded CLIENT
//
// The only thing that is ours is the address. A test forks it and asks it to do what an application would do.

import { createServer } from "node:http";
import { createRequire } from "node:module";

import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { Server } from "socket.io";

const require = createRequire(import.meta.url);
const [address, mode, client] = process.argv.slice(2);
const [host, port] = [address.split(":")[0], Number(address.split(":")[1])];

async function connected() {
  if (client.startsWith("ioredis")) {
    const { Redis } = require(client);
    const redis = new Redis({ host, port });
    redis.on("error", () => {});
    return redis;
  }
  const { createClient } = require(client);
  const redis = createClient({ socket: { host, port } });
  redis.on("error", () => {});
  await redis.connect();
  return redis;
}

const [publisher, subscriber] = await Promise.all([connected(), connected()]);
const create = mode === "classic" ? createAdapter : createShardedAdapter;
const http = createServer();
const io = new Server(http, { adapter: create(publisher, subscriber) });

// The adapter does not wait until Redis has taken its subscriptions; this answer stands behind theirs.
const settled = () => subscriber.ping();

const heard = []; // events of other servers
io.on("hello", (...args) => {
  const answer = typeof args.at(-1) === "function" ? args.pop() : undefined;
  heard.push(args);
  answer?.(`${process.argv[5]} heard ${args.join(" ")}`);
});

io.on("connection", (socket) => {
  socket.data.name = socket.handshake.auth.name;
  socket.on("join", async (room, done) => {
    await socket.join(room);
    await settled();
    done();
  });
  socket.on("leave", async (room, done) => {
    await socket.leave(room);
    await settled();
    done();
  });
  socket.on("to", (room, ...args) => socket.to(room).emit("said", ...args));
  socket.on("broadcast", (...args) => socket.broadcast.emit("said", ...args));
});

const WORK = {
  emit: (...args) => io.emit("said", ...args),
  to: (room, ...args) => io.to(room).emit("said", ...args),
  except: (room, ...args) => io.except(room).emit("said", ...args),
  local: (...args) => io.local.emit("said", ...args),
  bytes: (room) => io.to(room).emit("said", Buffer.from([0, 255, 13, 10])),
  ack: (room) => io.to(room).timeout(5_000).emitWithAck("asked"),
  fetchSockets: async (room) => {
    const sockets = await (room ? io.in(room) : io).fetchSockets();
    return sockets.map(({ data, rooms }) => [data.name, [...rooms].filter((one) => one.length !== 20)]);
  },
  serverSideEmit: (...args) => io.serverSideEmit("hello", ...args),
  serverSideEmitWithAck: (...args) => io.serverSideEmitWithAck("hello", ...args),
  heard: () => heard,
  socketsJoin: (room, other) => io.in(room).socketsJoin(other),
  socketsLeave: (room, other) => io.in(room).socketsLeave(other),
  disconnectSockets: (room) => io.in(room).disconnectSockets(),
  serverCount: () => io.of("/").adapter.serverCount(),
  settled,
  close: () => io.close(),
};
process.on("message", async ({ number, what, args }) => {
  try {
    const value = await WORK[what](...args);
    process.send({ number, value: typeof value === "object" || typeof value === "number" ? value : null });
  } catch (error) {
    process.send({ number, error: error.message });
  }
});
process.on("disconnect", () => process.exit(0));

await settled();
http.listen(0, "127.0.0.1", () => process.send({ port: http.address().port }));
