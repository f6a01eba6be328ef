// Stock phoenix.js channels on Campanile that miss nothing.
//
// `resumable` makes a channel that remembers the position of the last event it gave to its callbacks, and sends it with
// every join. phoenix.js itself joins again after a lost connection, and asks a function for the join's payload each
// time, in all versions from 1.5.14 to 1.8.16. Only its documented surface is used, and `sent` of a push.

/** A publish that has ended without an acknowledgement. */
export class PublishError extends Error {
  constructor({ reason, outcome, key }) {
    super(`publish: ${reason} (${outcome})`);
    this.name = "PublishError";
    this.reason = reason;
    this.outcome = outcome; // "not_published", or "unknown": it may have been published
    this.key = key; // publishing the same again under this key counts once, for two minutes
  }
}

/**
 * A channel of `socket` on `topic`, to be used as `socket.channel(topic, params)` would be.
 *
 * `params`: the application's own join payload, an object or a function. `position`: where to go on, such as the
 * `channel.position` that an earlier page stored; without it, events start with the join. `onLost`: see README.
 */
export function resumable(socket, topic, { params = {}, position = null, onLost = () => {} } = {}) {
  const own = typeof params === "function" ? params : () => params;
  const wanted = () => (position ? { resume: position } : { positions: true });
  const channel = socket.channel(topic, () => ({ ...own(), ...wanted() }));

  // What comes after this move is counted from `next`; what lies between was lost, if the server says so.
  const move = ({ epoch, offset, recovered, oldest }) => {
    const from = position;
    position = typeof epoch === "string" ? { epoch, offset } : null;
    // A server without positions answers neither, and has resumed nothing.
    const isLost = recovered === false || (from && !position);
    if (isLost) onLost({ from, position, ...(oldest === undefined ? {} : { oldest }) });
  };

  const { join, onMessage } = channel;
  // phoenix.js keeps this hook of the first join for all later ones. It runs before the application's own.
  channel.join = (...timeout) => join.apply(channel, timeout).receive("ok", move);
  channel.on("position", move);

  // Every event passes here before its callbacks. Offsets are contiguous, so an event of bytes, whose frame has no room
  // for its offset, is one more. All else (replies, phx_…, position) has neither a number nor bytes.
  channel.onMessage = (event, payload, ref, ...more) => {
    if (position && typeof ref === "number") position = { ...position, offset: ref };
    else if (position && isBytes(payload)) position = { ...position, offset: position.offset + 1 };
    return onMessage.call(channel, event, payload, ref, ...more);
  };

  Object.defineProperty(channel, "position", { get: () => position && { ...position }, enumerable: true });
  channel.publish = publisher(channel);
  return channel;
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2_000;
const ANSWER_MS = 10_000; // as phoenix.js waits; a gateway answers within 5 s
const GIVE_UP_MS = 60_000;
const KEY_LASTS_MS = 110_000; // the server remembers keys for 120 s

/** The function `publish` of one channel. */
function publisher(channel) {
  const open = new Set(); // publishes without an end
  // phoenix.js forgets pushes that a lost connection has swallowed. Here they queue up for the next join at once, in
  // their order, ahead of what is published from now on.
  channel.onError(() => [...open].forEach((publish) => publish.cut()));
  channel.onClose(() => [...open].forEach((publish) => publish.fail("channel left")));

  return async (event, payload, { key = randomKey(), giveUpMs = GIVE_UP_MS } = {}) => {
    if (isBytes(payload)) key = null; // a binary frame has no room for a key
    return new Promise((resolve, reject) => {
      const publish = new Publish(channel, event, payload, key, Math.min(giveUpMs, KEY_LASTS_MS));
      publish.ended = (end) => {
        open.delete(publish);
        if (end instanceof Error) reject(end);
        else resolve(end);
      };
      open.add(publish);
      publish.send();
    });
  };
}

/** One publish, however often it is sent. */
class Publish {
  #channel;
  #message;
  #key;
  #giveUp;
  #push = null; // the newest copy, while nothing is known of it
  #pause = FIRST_PAUSE_MS;
  #timer = null;
  #unknown = false; // a copy was sent and not refused: it may have been published
  ended; // called with {offset, key} or an error

  constructor(channel, event, payload, key, giveUpMs) {
    this.#channel = channel;
    this.#key = key;
    const keyed = key === null ? [] : [{ key }];
    this.#message = isBytes(payload) ? [event, payload] : ["publish", [event, payload, ...keyed]];
    // Not performance.now(), which may stand still while a machine sleeps. The server's memory of keys does not.
    this.#giveUp = Date.now() + giveUpMs;
  }

  send() {
    const left = this.#giveUp - Date.now();
    if (left <= 0) return this.fail("no answer in time");
    let push;
    try {
      push = this.#push = this.#channel.push(...this.#message, Math.min(ANSWER_MS, left));
    } catch (error) {
      return this.#end(error); // not joined yet: phoenix.js says so
    }
    // An acknowledgement of any copy holds; a refusal says something about its own copy alone.
    push.receive("ok", ({ offset }) => this.#end({ offset, key: this.#key }));
    push.receive("error", (answer) => push === this.#push && this.#refused(answer));
    push.receive("timeout", () => {
      if (push !== this.#push) return;
      this.#refused({ reason: "no answer", outcome: wasSent(push) ? "unknown" : "not_published", retry: true });
    });
  }

  /** The channel broke: no answer comes to what was sent. A copy that waits for the next join waits on. */
  cut() {
    if (!this.#push || !wasSent(this.#push)) return;
    this.#unknown = true;
    if (this.#key === null) this.fail("connection lost");
    else this.send();
  }

  fail(reason) {
    const mayBe = this.#unknown || (this.#push && wasSent(this.#push));
    this.#end(new PublishError({ reason, outcome: mayBe ? "unknown" : "not_published", key: this.#key }));
  }

  #refused({ reason, outcome, retry }) {
    this.#push = null;
    this.#unknown ||= outcome === "unknown";
    const pause = this.#pause * (0.5 + Math.random() / 2);
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE_MS);
    // Without a key, a second copy of what may have been published could count twice.
    const again = retry && !(this.#unknown && this.#key === null) && Date.now() + pause < this.#giveUp;
    if (again) this.#timer = setTimeout(() => this.send(), pause);
    else this.fail(reason);
  }

  #end(end) {
    clearTimeout(this.#timer);
    this.#push = null;
    this.ended(end);
  }
}

const wasSent = (push) => push.sent !== false;

// By name: under test tools the bytes may come from another realm, and be no `instanceof ArrayBuffer`.
const isBytes = (value) => Object.prototype.toString.call(value) === "[object ArrayBuffer]";

// crypto.randomUUID would not exist on pages without https.
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
