// The page: shows one connection and lets people drive it. Whatever comes from the network is shown as text only.

import { Connection, hex, socketUrl } from "/connection.js";

const MESSAGES_SHOWN = 200;
const FRAMES_KEPT = 300;
const FRAME_CHARACTERS_KEPT = 4_000_000; // frames are kept whole so that a copy is whole
const CHARACTERS_SHOWN = 4_000; // of one message or frame
const DRAW_EVERY_MS = 50;

const byId = (id) => document.getElementById(id);

/** An element with properties and children; strings become text, never markup. */
function element(name, properties = {}, ...children) {
  const { data = {}, ...rest } = properties;
  const node = Object.assign(document.createElement(name), rest);
  Object.assign(node.dataset, data);
  node.append(...children);
  return node;
}

function shown(text) {
  const more = text.length - CHARACTERS_SHOWN;
  return more > 0 ? `${text.slice(0, CHARACTERS_SHOWN)} … (${more} more characters)` : text;
}

function say(id, text, kind = "") {
  const node = byId(id);
  node.textContent = text;
  node.dataset.kind = kind;
}

function clock(date) {
  const time = element("time", { dateTime: date.toISOString() });
  time.textContent = `${date.toTimeString().slice(0, 8)}.${String(date.getMilliseconds()).padStart(3, "0")}`;
  return time;
}

/** A bounded list that draws in batches, so that a busy topic costs a drawing per moment and not per message. */
class Log {
  #list;
  #empty;
  #limit;
  #build;
  #queue = [];
  #timer = 0;

  constructor(list, empty, limit, build) {
    this.#list = list;
    this.#empty = empty;
    this.#limit = limit;
    this.#build = build;
  }

  add(item) {
    this.#queue.push(item);
    if (this.#queue.length > this.#limit) this.#queue.shift();
    this.#timer ||= setTimeout(() => this.#draw(), DRAW_EVERY_MS);
  }

  clear() {
    this.#queue = [];
    this.#list.replaceChildren();
    this.#show();
  }

  #draw() {
    this.#timer = 0;
    const list = this.#list;
    // Someone who scrolled up to read stays there.
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    for (const old of list.querySelectorAll(".new")) old.classList.remove("new");
    list.append(...this.#queue.map(this.#build));
    this.#queue = [];
    while (list.childElementCount > this.#limit) list.firstElementChild.remove();
    this.#show();
    if (atEnd) list.scrollTop = list.scrollHeight;
  }

  #show() {
    const none = this.#list.childElementCount === 0;
    this.#list.hidden = none;
    this.#empty.hidden = !none;
  }
}

// The gateway and its state.

const connection = new Connection({ onState, onChannel, onMessage, onFrame });
const knownGateways = new Set();
let retryAt = 0;
let retryTicker = 0;

function onState(now) {
  clearInterval(retryTicker);
  byId("state").dataset.state = now.state;
  byId("connect").textContent = now.state === "waiting" ? "Connect now" : "Connect";
  document.title = now.state === "connected" ? `${now.address} · Campanile` : "Campanile, not connected";
  if (now.state === "connected") remember(now.address);
  byId("state-text").textContent = stateText(now);
  if (now.state === "waiting") {
    retryAt = Date.now() + now.delay;
    // Screen readers hear the reason once; the seconds run where nothing is announced.
    retryTicker = setInterval(showWait, 500);
    showWait();
  } else {
    say("gateway-note", GATEWAY_NOTE);
  }
}

const GATEWAY_NOTE = byId("gateway-note").textContent;

function stateText({ state, address, detail }) {
  if (state === "connected") return `Connected to ${address}`;
  if (state === "connecting") return `Connecting to ${address}${detail ? `, ${detail}` : ""}`;
  if (state === "waiting") return `Reconnecting to ${address}: ${detail}`;
  return "Not connected";
}

function showWait() {
  const seconds = Math.max(0, retryAt - Date.now()) / 1_000;
  say("gateway-note", `Next attempt in ${seconds.toFixed(1)} s.`);
}

function remember(address) {
  if (knownGateways.has(address)) return;
  knownGateways.add(address);
  byId("gateways").append(element("option", { value: address }));
}

byId("gateway-form").addEventListener("submit", (submit) => {
  submit.preventDefault();
  const field = byId("address");
  let url;
  try {
    url = socketUrl(field.value, location.protocol);
  } catch {
    field.setAttribute("aria-invalid", "true");
    field.focus();
    return say("gateway-note", "An address looks like 127.0.0.1:4000 or wss://example.org.", "bad");
  }
  field.removeAttribute("aria-invalid");
  const same = connection.isFor(url);
  if (same && connection.state === "waiting") return connection.retryNow();
  if (same && connection.state === "connected") return say("gateway-note", `Connected to ${url.host} already.`);
  connection.connect(url);
});

byId("disconnect").addEventListener("click", () => connection.disconnect());
window.addEventListener("online", () => connection.retryNow());

// Topics.

const rows = new Map();

const STATE_WORDS = { wanted: "joins when connected", joining: "joining", joined: "joined", leaving: "leaving", refused: "refused" };

function onChannel(topic, { state, reason }) {
  if (state === "gone") {
    const row = rows.get(topic);
    rows.delete(topic);
    // The button that someone pressed goes away with its row: hand the focus on.
    if (row?.contains(document.activeElement)) byId("topic").focus();
    row?.remove();
    if (reason) say("join-result", `${topic}: ${reason}.`, "bad");
    say("channel-news", `Left ${topic}.`);
  } else {
    const row = rows.get(topic) ?? addRow(topic);
    row.dataset.state = state;
    row.querySelector(".how").textContent = reason ? `${STATE_WORDS[state]}: ${reason}` : STATE_WORDS[state];
    if (state === "joined" || state === "refused") say("channel-news", `${topic}: ${row.querySelector(".how").textContent}.`);
  }
  listTopics();
}

function addRow(topic) {
  const leave = element("button", { type: "button", className: "small", textContent: "Leave" });
  leave.setAttribute("aria-label", `Leave ${topic}`);
  leave.addEventListener("click", () => connection.leave(topic));
  const name = element("span", { className: "name", textContent: topic });
  const row = element("li", {}, name, element("span", { className: "how" }), leave);
  rows.set(topic, row);
  byId("channels").append(row);
  return row;
}

/** Makes the select of the publish form equal to the topics, keeping the choice. */
function listTopics() {
  const select = byId("publish-topic");
  const topics = connection.topics();
  const had = [...select.options].map((option) => option.value);
  const want = topics.length === 0 ? [""] : topics;
  if (had.length === want.length && had.every((topic, index) => topic === want[index])) return;
  const chosen = select.value;
  const options = want.map((topic) => element("option", { value: topic, textContent: topic || "join a topic first" }));
  select.replaceChildren(...options);
  if (topics.includes(chosen)) select.value = chosen;
}

byId("join-form").addEventListener("submit", (submit) => {
  submit.preventDefault();
  const topic = byId("topic").value;
  if (topic === "") return say("join-result", "Type a topic first.", "bad");
  say("join-result", connection.isJoined(topic) ? `Joined ${topic} already.` : "");
  connection.join(topic);
  byId("publish-topic").value = topic;
});

// Publishing.

byId("publish-form").addEventListener("submit", async (submit) => {
  submit.preventDefault();
  const topic = byId("publish-topic").value;
  if (topic === "") {
    byId("topic").focus();
    return say("publish-result", "Join a topic first.", "bad");
  }
  const field = byId("payload");
  let payload;
  try {
    payload = JSON.parse(field.value);
  } catch (error) {
    field.setAttribute("aria-invalid", "true");
    field.focus();
    return say("publish-result", `The payload is not JSON: ${error.message}`, "bad");
  }
  field.removeAttribute("aria-invalid");
  // A payload that is JSON but no object goes out all the same: the gateway's answer is worth seeing.
  const { status, response, ms } = await connection.publish(topic, byId("event").value, payload);
  if (status === "ok") return say("publish-result", `Acknowledged in ${ms.toFixed(1)} ms.`, "good");
  if (status === "none") return say("publish-result", `Nobody knows whether it was published: ${response.reason}.`, "bad");
  const { reason = "refused", outcome, retry } = response ?? {};
  const details = [outcome === "not_published" && "not published", outcome === "unknown" && "outcome unknown", retry === true && "worth another try"];
  say("publish-result", `Refused: ${[reason, ...details].filter(Boolean).join(", ")}.`, "bad");
});

byId("payload").addEventListener("keydown", (key) => {
  // Not while an input method composes a character: that Enter belongs to it.
  if (key.key !== "Enter" || key.shiftKey || key.isComposing) return;
  key.preventDefault();
  byId("publish-form").requestSubmit();
});

// Messages.

let messagesReceived = 0;

const messages = new Log(byId("messages"), byId("no-messages"), MESSAGES_SHOWN, ({ date, topic, event, text }) => {
  const eventName = element("span", { className: "event", textContent: event });
  const meta = element("div", { className: "meta" }, clock(date), element("span", { textContent: topic }), eventName);
  return element("div", { className: "new" }, meta, element("pre", { textContent: shown(text) }));
});

function onMessage({ topic, event, payload, bytes }) {
  messagesReceived += 1;
  countMessages();
  const text = bytes ? `${bytes.length} bytes: ${hex(bytes)}` : JSON.stringify(payload);
  messages.add({ date: new Date(), topic: String(topic), event: String(event), text });
}

function countMessages() {
  const last = messagesReceived > MESSAGES_SHOWN ? `, the last ${MESSAGES_SHOWN} shown` : "";
  byId("message-count").textContent = `${messagesReceived} received${last}`;
}

byId("clear-messages").addEventListener("click", () => {
  messagesReceived = 0;
  messages.clear();
  countMessages();
});

// Raw frames.

let frames = []; // {way, text, heartbeat, date}, oldest first
let frameCharacters = 0;
let framesSeen = 0;

const frameList = byId("frames");
const frameLog = new Log(frameList, byId("no-frames"), FRAMES_KEPT, (frame) => {
  const way = element("span", { className: "way", textContent: frame.way === "sent" ? "↑" : "↓" });
  way.setAttribute("aria-label", frame.way);
  way.setAttribute("role", "img");
  const copyButton = element("button", { type: "button", textContent: "Copy", tabIndex: -1 });
  copyButton.setAttribute("aria-label", `Copy this ${frame.way} frame`);
  copyButton.addEventListener("click", () => copy(frame.text, `Copied one frame, ${frame.text.length} characters.`));
  const text = element("code", { textContent: shown(frame.text), title: frame.date.toISOString() });
  const row = element("li", { className: "new", data: { way: frame.way } }, way, text, copyButton);
  if (frame.heartbeat) row.dataset.heartbeat = "";
  return row;
});

function onFrame({ way, text, heartbeat }) {
  const frame = { way, text, heartbeat, date: new Date() };
  framesSeen += 1;
  frames.push(frame);
  frameCharacters += text.length;
  while (frames.length > FRAMES_KEPT || (frameCharacters > FRAME_CHARACTERS_KEPT && frames.length > 1)) {
    frameCharacters -= frames.shift().text.length;
  }
  frameLog.add(frame);
  countFrames();
}

function countFrames() {
  const last = framesSeen > frames.length ? `, the last ${frames.length} kept` : "";
  byId("frame-count").textContent = `${framesSeen} frame${framesSeen === 1 ? "" : "s"}${last}`;
}

/** Copies also where the clipboard API is missing: it exists only on https and on this machine's own addresses. */
async function copy(text, done) {
  try {
    await navigator.clipboard.writeText(text);
    return say("copy-result", done, "good");
  } catch {
    const had = document.activeElement;
    const field = element("textarea", { value: text, readOnly: true });
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    had?.focus();
    say("copy-result", copied ? done : "This browser does not let a page copy.", copied ? "good" : "bad");
  }
}

byId("copy-frames").addEventListener("click", () => {
  const visible = frames.filter((frame) => byId("show-heartbeats").checked || !frame.heartbeat);
  const lines = visible.map(({ way, text }) => `${way === "sent" ? "↑" : "↓"} ${text}`);
  copy(lines.join("\n"), `Copied ${lines.length} frame${lines.length === 1 ? "" : "s"}.`);
});

byId("clear-frames").addEventListener("click", () => {
  frames = [];
  frameCharacters = 0;
  framesSeen = 0;
  frameLog.clear();
  countFrames();
});

byId("show-heartbeats").addEventListener("change", (change) => {
  frameList.classList.toggle("with-heartbeats", change.target.checked);
});

// The list of frames is one stop for the Tab key, its newest button; arrow keys move inside.

function visibleCopyButtons() {
  return [...frameList.querySelectorAll("button")].filter((button) => button.offsetParent !== null);
}

new MutationObserver(() => {
  if (frameList.contains(document.activeElement)) return;
  for (const button of frameList.querySelectorAll('button[tabindex="0"]')) button.tabIndex = -1;
  const newest = visibleCopyButtons().at(-1);
  if (newest) newest.tabIndex = 0;
}).observe(frameList, { childList: true, attributes: true, attributeFilter: ["class", "hidden"] });

frameList.addEventListener("keydown", (key) => {
  const buttons = visibleCopyButtons();
  const at = buttons.indexOf(document.activeElement);
  const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: buttons.length - 1 }[key.key];
  if (at < 0 || to === undefined) return;
  key.preventDefault();
  const next = buttons[Math.min(Math.max(to, 0), buttons.length - 1)];
  for (const button of buttons) button.tabIndex = button === next ? 0 : -1;
  next.focus();
});

// Start: this page's own gateway.

byId("address").value = location.host;
connection.connect(socketUrl(location.host, location.protocol));
