// A connection that speaks bytes: what was sent is what is written here, and what came is kept as it came.
//
// It shares no code with any client or server: the parser finds where values end, and nothing else.

import { connect } from "node:net";

const ANSWER_MS = 10_000;

/** The end of the line that begins at `from`, after its CRLF; -1 if it is not there. */
function lineEnd(bytes, from) {
  const end = bytes.indexOf("\r\n", from, "latin1");
  return end < 0 ? -1 : end + 2;
}

/** Where the value that begins at `from` ends; -1 if it is not whole. Throws at what begins no value. */
export function valueEnd(bytes, from = 0) {
  if (from >= bytes.length) return -1;
  const type = String.fromCharCode(bytes[from]);
  const end = lineEnd(bytes, from);
  if (end < 0) return -1;
  const length = Number(bytes.toString("latin1", from + 1, end - 2));
  switch (type) {
    case "+":
    case "-":
    case ":":
    case "_":
    case ",":
    case "#":
    case "(":
      return end;
    case "$":
    case "=":
    case "!": {
      if (length < 0) return end;
      return end + length + 2 <= bytes.length ? end + length + 2 : -1;
    }
    case "*":
    case "~":
    case ">":
    case "%":
    case "|": {
      let at = end;
      for (let left = Math.max(0, length) * ("%|".includes(type) ? 2 : 1); left > 0; left -= 1) {
        at = valueEnd(bytes, at);
        if (at < 0) return -1;
      }
      // An attribute is no value of its own.
      return type === "|" ? valueEnd(bytes, at) : at;
    }
    default:
      throw new Error(`no value begins with ${JSON.stringify(bytes.toString("latin1", from, from + 40))}`);
  }
}

/** A value in JavaScript's terms: text as latin1, errors as `{error}`, what has members as lists. */
export function value(bytes) {
  return read(bytes, 0)[0];
}

function read(bytes, from) {
  const end = lineEnd(bytes, from);
  const type = String.fromCharCode(bytes[from]);
  const line = bytes.toString("latin1", from + 1, end - 2);
  const length = Number(line);
  if (type === "-") return [{ error: line }, end];
  if (type === ":") return [length, end];
  if (type === "_" || ("$*".includes(type) && length < 0)) return [null, end];
  if ("$=!".includes(type)) return [bytes.toString("latin1", end, end + length), end + length + 2];
  if (!"*~>%".includes(type)) return [line, end];
  const members = [];
  let at = end;
  for (let left = length * (type === "%" ? 2 : 1); left > 0; left -= 1) {
    const [member, next] = read(bytes, at);
    members.push(member);
    at = next;
  }
  return [members, at];
}

/** A command as clients send it: an array of bulk strings. Text is split at spaces. */
export function command(words) {
  const parts = (typeof words === "string" ? words.split(" ") : words).map((part) =>
    Buffer.isBuffer(part) ? part : Buffer.from(String(part)),
  );
  return Buffer.concat([
    Buffer.from(`*${parts.length}\r\n`),
    ...parts.flatMap((part) => [Buffer.from(`$${part.length}\r\n`), part, Buffer.from("\r\n")]),
  ]);
}

/** One connection. */
export class Raw {
  /** Every whole value that came and was not taken, as bytes. */
  values = [];
  closed = false;
  #socket;
  #rest = Buffer.alloc(0);
  #waiting = [];
  #fault = null;
  #barriers = 0;

  static connect(address) {
    const [host, port] = address.split(":");
    const raw = new Raw();
    return new Promise((opened, fail) => {
      const socket = connect({ host, port: Number(port), noDelay: true });
      raw.#socket = socket;
      socket.once("connect", () => opened(raw));
      socket.once("error", fail);
      socket.on("error", () => {});
      socket.on("data", (bytes) => raw.#came(bytes));
      socket.on("close", () => {
        raw.closed = true;
        raw.#wake();
      });
    });
  }

  #came(bytes) {
    this.#rest = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes;
    let at = 0;
    try {
      for (let end; (end = valueEnd(this.#rest, at)) >= 0; at = end) this.values.push(this.#rest.subarray(at, end));
    } catch (error) {
      this.#fault = error;
      at = this.#rest.length;
    }
    this.#rest = this.#rest.subarray(at);
    this.#wake();
  }

  #wake() {
    this.#waiting.splice(0).forEach((wake) => wake());
  }

  /** What came of a value that is not whole. */
  get rest() {
    return this.#rest;
  }

  /** Until `condition()` holds: true; false after `milliseconds`, or once the connection is closed. */
  async until(condition, milliseconds = ANSWER_MS) {
    const end = performance.now() + milliseconds;
    while (!condition()) {
      if (this.#fault) throw this.#fault;
      const left = end - performance.now();
      if (left <= 0 || this.closed) return false;
      let timer;
      await Promise.race([
        new Promise((wake) => this.#waiting.push(wake)),
        new Promise((wake) => (timer = setTimeout(wake, left))),
      ]);
      clearTimeout(timer);
    }
    return true;
  }

  write(bytes) {
    this.#socket.write(bytes);
  }

  /** Sends commands in one write. */
  send(...commands) {
    this.write(Buffer.concat(commands.map(command)));
  }

  /** Takes the next value, as bytes. */
  async next(milliseconds = ANSWER_MS) {
    if (!(await this.until(() => this.values.length > 0, milliseconds)))
      throw new Error(this.closed ? "the connection is closed" : `no value came within ${milliseconds} ms`);
    return this.values.shift();
  }

  /** Sends a command and takes the next value, in JavaScript's terms. For connections that subscribe to nothing. */
  async ask(words) {
    this.send(words);
    return value(await this.next());
  }

  /** Takes all values up to the answer to a question that is asked now; also while subscribed. */
  async barrier(milliseconds = ANSWER_MS) {
    const mark = `barrier-${(this.#barriers += 1)}`;
    this.send(["PING", mark]);
    let at = 0; // every value is looked at once
    const found = () => {
      while (at < this.values.length && !this.values[at].includes(mark)) at += 1;
      return at < this.values.length;
    };
    const came = await this.until(found, milliseconds);
    const taken = this.values.splice(0, at);
    if (came) this.values.shift();
    return { taken, answered: came };
  }

  close() {
    this.#socket.destroy();
  }
}
