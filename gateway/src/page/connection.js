// One session with one gateway, in the Phoenix Channels protocol V2 (docs/protocol.md), without the DOM.
//
// The connection keeps what the user wants (an address, a set of topics) apart from what is (a socket, joined
// channels), and works towards the first by itself: it reconnects with jittered backoff and joins again.

const HEARTBEAT_MS = 30_000; // a gateway ends a session that was silent for 60 s
const ANSWER_MS = 10_000; // the owner answers or is given up after 5 s; beyond 10 s nothing will come
const OPEN_MS = 10_000;
const STEADY_MS = 5_000; // a session that lived this long was a good one: the backoff starts anew
const BACKOFF_MS = [250, 500, 1_000, 2_000, 5_000, 10_000];

// Join errors that trying again does not mend.
const FINAL_REASONS = new Set(["unmatched topic", "too many channels joined"]);

const ENDINGS = new Map([
  [1000, "closed"],
  [1001, "closed by the gateway"],
  [1005, "closed"],
  [1006, "connection lost"],
  [1007, "the gateway saw invalid UTF-8"],
  [1009, "a frame was too large"],
  [1011, "the gateway saw a malformed frame"],
  [1012, "the gateway is restarting"],
  [1013, "this tab was too slow"],
]);

/** The WebSocket URL for what a user typed: `host:port`, or a ws, wss, http or https URL. Throws on nonsense. */
export function socketUrl(typed, pageProtocol = "http:") {
  const text = typed.trim();
  const scheme = pageProtocol === "https:" ? "wss://" : "ws://";
  const url = new URL(/^[a-z]+:\/\//i.test(text) ? text : scheme + text);
  url.protocol = url.protocol.replace("http", "ws");
  // Browsers do not agree on what a host may hold: Chromium escapes a space instead of refusing it.
  const host = /^([a-z0-9._-]+|\[[0-9a-f:.]+\])$/i;
  if (!/^wss?:$/.test(url.protocol) || !host.test(url.hostname)) throw new TypeError("not a gateway's address");
  if (url.pathname === "/") url.pathname = "/socket/websocket";
  url.hash = "";
  url.searchParams.set("vsn", "2.0.0");
  return url;
}

/** A delay from the steps, spread over its upper half so that many clients do not come back in one moment. */
export function backoff(attempt, random = Math.random) {
  const step = BACKOFF_MS[Math.min(attempt, BACKOFF_MS.length - 1)];
  return Math.round(step * (0.5 + random() / 2));
}

/**
 * Calls back with
 *   onState({state, address, detail, delay}) where state is offline, connecting, connected or waiting,
 *   onChannel(topic, {state, reason}) where state is wanted, joining, joined, leaving, refused or gone,
 *   onMessage({topic, event, payload, bytes}) for each event; `bytes` instead of `payload` for a binary one,
 *   onFrame({way, text, heartbeat}) for each frame, where way is sent or received.
 */
export class Connection {
  #on;
  #url = null;
  #socket = null;
  #state = "offline";
  #attempt = 0;
  #nextRef = 1;
  #retryTimer = 0;
  #openTimer = 0;
  #steadyTimer = 0;
  #heartbeatTimer = 0;
  #heartbeatRef = null;
  #channels = new Map(); // topic → {state, joinRef, attempt, timer}
  #pending = new Map(); // ref → {resolve, timer}

  constructor(callbacks) {
    this.#on = callbacks;
  }

  get state() {
    return this.#state;
  }

  /** `host:port` of the gateway that is wanted, "" before the first connect. */
  get address() {
    return this.#url?.host ?? "";
  }

  isFor(url) {
    return this.#url?.href === url.href;
  }

  topics() {
    return [...this.#channels.keys()];
  }

  isJoined(topic) {
    return this.#channels.get(topic)?.state === "joined";
  }

  /** Goes to this gateway, whatever it was connected to, and stays with it until `disconnect`. */
  connect(url) {
    this.#drop();
    this.#url = url;
    this.#attempt = 0;
    this.#open();
  }

  disconnect() {
    this.#drop();
    this.#setState("offline", "");
  }

  /** Ends a wait for the next attempt. */
  retryNow() {
    if (this.#state !== "waiting") return;
    clearTimeout(this.#retryTimer);
    this.#open();
  }

  join(topic) {
    const old = this.#channels.get(topic);
    if (old && (old.state === "joined" || old.state === "joining")) return;
    if (old) clearTimeout(old.timer);
    const channel = { state: "wanted", joinRef: null, attempt: 0, timer: 0 };
    this.#channels.set(topic, channel);
    this.#setChannel(topic, channel, "wanted", "");
    if (this.#state === "connected") this.#sendJoin(topic, channel);
  }

  leave(topic) {
    const channel = this.#channels.get(topic);
    if (!channel) return;
    clearTimeout(channel.timer);
    const atGateway = channel.state === "joined" || channel.state === "joining";
    if (this.#state !== "connected" || !atGateway) return this.#forget(topic, channel);
    this.#setChannel(topic, channel, "leaving", "");
    const forget = () => this.#forget(topic, channel);
    this.#request(channel.joinRef, topic, "phx_leave", {}).then(forget);
  }

  /** Resolves, never rejects, with {status: "ok" | "error" | "none", response, ms}. */
  async publish(topic, event, payload) {
    const channel = this.#channels.get(topic);
    if (this.#state !== "connected" || channel?.state !== "joined") {
      return { status: "error", response: { reason: "not joined", outcome: "not_published", retry: true }, ms: 0 };
    }
    const started = performance.now();
    const reply = await this.#request(channel.joinRef, topic, "publish", [event, payload]);
    return { ...reply, ms: performance.now() - started };
  }

  // The socket's life.

  #open() {
    const host = this.#url.host;
    this.#setState("connecting", this.#attempt === 0 ? "" : `attempt ${this.#attempt + 1}`);
    let socket;
    try {
      socket = new WebSocket(this.#url);
    } catch (error) {
      return this.#retryLater(error.message);
    }
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    // Each handler first asks whether its socket is still the one in use: a late event of an old one is noise.
    const current = (handle) => (event) => socket === this.#socket && handle(event);
    let opened = false;
    socket.onopen = current(() => {
      opened = true;
      clearTimeout(this.#openTimer);
      this.#steadyTimer = setTimeout(() => (this.#attempt = 0), STEADY_MS);
      this.#heartbeatTimer = setInterval(() => this.#heartbeat(), HEARTBEAT_MS);
      this.#setState("connected", "");
      for (const [topic, channel] of this.#channels) this.#sendJoin(topic, channel);
    });
    socket.onmessage = current((event) => this.#receive(event.data));
    socket.onclose = current((event) => {
      this.#release();
      if (!opened) return this.#retryLater("no gateway answers there, or it refuses this page's origin");
      const ending = ENDINGS.get(event.code) ?? "closed";
      this.#retryLater(`${ending} (${event.code})`);
    });
    this.#openTimer = setTimeout(() => {
      this.#abandon();
      this.#retryLater(`${host} did not answer in ${OPEN_MS / 1_000} s`);
    }, OPEN_MS);
  }

  /** Forgets the socket and everything that lived on it. */
  #release() {
    this.#socket = null;
    clearTimeout(this.#openTimer);
    clearTimeout(this.#steadyTimer);
    clearInterval(this.#heartbeatTimer);
    this.#heartbeatRef = null;
    for (const { resolve, timer } of this.#pending.values()) {
      clearTimeout(timer);
      resolve({ status: "none", response: { reason: "the connection ended first" } });
    }
    this.#pending.clear();
    for (const [topic, channel] of [...this.#channels]) {
      clearTimeout(channel.timer);
      channel.joinRef = null;
      if (channel.state === "leaving") this.#forget(topic, channel);
      else this.#setChannel(topic, channel, "wanted", "");
    }
  }

  /** Closes the socket from this side without waiting for the other. */
  #abandon() {
    const socket = this.#socket;
    this.#release();
    socket?.close();
  }

  #drop() {
    clearTimeout(this.#retryTimer);
    this.#abandon();
  }

  #retryLater(detail) {
    const delay = backoff(this.#attempt);
    this.#attempt += 1;
    this.#retryTimer = setTimeout(() => this.#open(), delay);
    this.#setState("waiting", detail, delay);
  }

  #heartbeat() {
    if (this.#heartbeatRef !== null) {
      this.#abandon();
      return this.#retryLater("the gateway stopped answering");
    }
    this.#heartbeatRef = this.#ref();
    this.#send(null, this.#heartbeatRef, "phoenix", "heartbeat", {});
  }

  // Channels.

  #sendJoin(topic, channel) {
    const joinRef = this.#ref();
    channel.joinRef = joinRef;
    this.#setChannel(topic, channel, "joining", "");
    this.#request(joinRef, topic, "phx_join", {}, joinRef).then(({ status, response }) => {
      // The user or a reconnect may have gone on meanwhile.
      if (this.#channels.get(topic) !== channel || channel.joinRef !== joinRef || channel.state !== "joining") return;
      if (status === "ok") {
        channel.attempt = 0;
        return this.#setChannel(topic, channel, "joined", "");
      }
      const reason = String(response?.reason ?? "refused");
      // A join without an answer may yet succeed at the gateway: take it back first.
      if (status === "none") this.#send(joinRef, this.#ref(), topic, "phx_leave", {});
      this.#rejoinLater(topic, channel, reason, FINAL_REASONS.has(reason));
    });
  }

  #rejoinLater(topic, channel, reason, final) {
    channel.joinRef = null;
    this.#setChannel(topic, channel, "refused", final ? reason : `${reason}, trying again`);
    if (final) return;
    // No step below a second: what is wrong with a topic is not mended in less.
    channel.timer = setTimeout(() => {
      if (this.#state === "connected") this.#sendJoin(topic, channel);
    }, backoff(channel.attempt + 2));
    channel.attempt += 1;
  }

  #forget(topic, channel, reason = "") {
    if (this.#channels.get(topic) !== channel) return;
    clearTimeout(channel.timer);
    this.#channels.delete(topic);
    this.#on.onChannel(topic, { state: "gone", reason });
  }

  // Frames.

  #ref() {
    return String(this.#nextRef++);
  }

  #request(joinRef, topic, event, payload, ref = this.#ref()) {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#pending.delete(ref);
        resolve({ status: "none", response: { reason: `no answer in ${ANSWER_MS / 1_000} s` } });
      }, ANSWER_MS);
      this.#pending.set(ref, { resolve, timer });
      this.#send(joinRef, ref, topic, event, payload);
    });
  }

  #send(joinRef, ref, topic, event, payload) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const text = JSON.stringify([joinRef, ref, topic, event, payload]);
    this.#socket.send(text);
    this.#on.onFrame({ way: "sent", text, heartbeat: topic === "phoenix" });
  }

  #receive(data) {
    const frame = typeof data === "string" ? parseText(data) : parseBinary(data);
    const text = typeof data === "string" ? data : hex(data);
    this.#on.onFrame({ way: "received", text, heartbeat: frame?.topic === "phoenix" });
    if (!frame) return;
    const { joinRef, ref, topic, event, payload } = frame;
    if (topic === "phoenix") {
      if (ref === this.#heartbeatRef) this.#heartbeatRef = null;
      return;
    }
    if (event === "phx_reply") return this.#answer(ref, payload);
    const channel = this.#channels.get(topic);
    // A frame for an earlier join of the same topic is stale.
    if (!channel || (joinRef !== null && joinRef !== channel.joinRef)) return;
    if (event === "phx_close" || (event === "phx_error" && channel.state === "leaving")) {
      return this.#forget(topic, channel, channel.state === "leaving" ? "" : "closed by the gateway");
    }
    if (event === "phx_error") return this.#rejoinLater(topic, channel, "the channel failed", false);
    this.#on.onMessage(frame);
  }

  #answer(ref, payload) {
    const waiting = this.#pending.get(ref);
    if (!waiting) return;
    this.#pending.delete(ref);
    clearTimeout(waiting.timer);
    waiting.resolve({ status: payload?.status, response: payload?.response });
  }

  #setState(state, detail, delay = 0) {
    this.#state = state;
    this.#on.onState({ state, address: this.address, detail, delay });
  }

  #setChannel(topic, channel, state, reason) {
    channel.state = state;
    this.#on.onChannel(topic, { state, reason });
  }
}

/** `[join_ref, ref, topic, event, payload]`, or null for anything else. */
function parseText(text) {
  try {
    const [joinRef, ref, topic, event, payload] = JSON.parse(text);
    return { joinRef, ref, topic, event, payload };
  } catch {
    return null;
  }
}

/** A binary push: kind 0, three lengths, join_ref, topic, event, and the payload to the end. */
function parseBinary(buffer) {
  const bytes = new Uint8Array(buffer);
  if (bytes.length < 4 || bytes[0] !== 0) return null;
  let at = 4;
  const field = (length) => new TextDecoder().decode(bytes.subarray(at, (at += length)));
  const joinRef = field(bytes[1]) || null;
  const topic = field(bytes[2]);
  const event = field(bytes[3]);
  return at <= bytes.length ? { joinRef, ref: null, topic, event, bytes: bytes.slice(at) } : null;
}

/** Bytes as two-digit hexadecimal numbers with spaces between. */
export function hex(data) {
  return Array.from(new Uint8Array(data), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}
