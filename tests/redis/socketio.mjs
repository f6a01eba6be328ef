// Socket.IO servers as processes of their own, and socket.io-client on them with a record of what came.

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

import { io } from "socket.io-client";

import { eventually } from "../clients/harness.mjs";

const SCRIPT = fileURLToPath(new URL("socketio-server.mjs", import.meta.url));
const START_MS = 20_000;

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** One server process. */
export class SocketIoServer {
  #child;
  #answers = new Map();
  #numbers = 0;

  /** Resolves once it listens and its subscriptions are taken. */
  static async start(address, mode, client, name) {
    const server = new SocketIoServer();
    const child = fork(SCRIPT, [address, mode, client, name], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    server.#child = child;
    running.add(child);
    server.ended = new Promise((end) => child.once("close", end)).finally(() => running.delete(child));
    let timer;
    const listening = new Promise((found, fail) => {
      timer = setTimeout(() => fail(new Error(`Socket.IO server ${name} did not listen in time`)), START_MS);
      server.ended.then((code) => fail(new Error(`Socket.IO server ${name} ended with ${code}`)));
      child.on("message", ({ port, number, value, error }) => {
        if (port) return found(port);
        const { done, wrong } = server.#answers.get(number);
        server.#answers.delete(number);
        return error === undefined ? done(value) : wrong(new Error(`${name}: ${error}`));
      });
    });
    server.url = `http://127.0.0.1:${await listening.finally(() => clearTimeout(timer))}`;
    return server;
  }

  /** Has it do something of socketio-server.mjs. */
  async do(what, ...args) {
    const number = (this.#numbers += 1);
    const answer = new Promise((done, wrong) => this.#answers.set(number, { done, wrong }));
    const gone = this.ended.then((code) => {
      throw new Error(`the Socket.IO server at ${this.url} ended with ${code}: it cannot do "${what}"`);
    });
    gone.catch(() => {});
    this.#child.send({ number, what, args }, () => {});
    return Promise.race([answer, gone]);
  }

  /** Ends it at once, as a crash would. */
  async kill() {
    this.#child.kill("SIGKILL");
    await this.ended;
  }
}

const MARK = "last word";

/** One socket.io-client. */
export class Member {
  said = [];
  marks = [];
  #socket;

  static async connect(server, name) {
    const member = new Member();
    member.name = name;
    const socket = io(server.url, { transports: ["websocket"], forceNew: true, reconnection: false, auth: { name } });
    member.#socket = socket;
    socket.on("said", (...args) => (String(args[0]).startsWith(MARK) ? member.marks : member.said).push(args));
    socket.on("asked", (answer) => answer(name));
    await new Promise((opened, fail) => socket.once("connect", opened).once("connect_error", fail));
    return member;
  }

  get connected() {
    return this.#socket.connected;
  }

  emit(...args) {
    this.#socket.emit(...args);
  }

  join(room) {
    return this.#socket.timeout(10_000).emitWithAck("join", room);
  }

  leave(room) {
    return this.#socket.timeout(10_000).emitWithAck("leave", room);
  }

  close() {
    this.#socket.disconnect();
  }
}

let marks = 0;

/**
 * That each member got exactly what `expected` lists for its name, in any order: two rooms are two channels, and only
 * one channel has an order. Behind it every server says a last word to all, and to each of `rooms`, whose members are
 * named: what came before those is all there is.
 */
export async function received(servers, members, rooms, expected) {
  const mark = `${MARK} ${(marks += 1)}`;
  const last = (member, room) => member.marks.filter((one) => one[0] === mark && one[1] === room).length === servers.length;
  await Promise.all(servers.map((server) => server.do("emit", mark)));
  for (const room of Object.keys(rooms)) await Promise.all(servers.map((server) => server.do("to", room, mark, room)));
  for (const member of members) {
    const own = [undefined, ...Object.keys(rooms).filter((room) => rooms[room].includes(member.name))];
    const words = [...(expected[member.name] ?? [])].sort();
    await eventually(`${member.name}: the last words`, () => own.every((room) => last(member, room)));
    await eventually(`${member.name}: ${words.join(", ")}`, () => member.said.length >= words.length).catch((error) => {
      throw new Error(`${error.message}; said: ${JSON.stringify(member.said)}`);
    });
    assert.deepEqual(member.said.splice(0).map(([text]) => text).sort(), words, `${member.name} (${mark})`);
  }
}
