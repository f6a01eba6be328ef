// The rules of `publish` and of positions, with a channel that answers as the test says, in simulated time.

import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { resumable } from "../index.js";

/** What `resumable` sees of phoenix.js. */
class FakeChannel {
  pushes = [];
  joins = [];
  sends = true; // false: pushes wait for the next join
  #hooks = {};
  onMessage = (_event, payload) => payload;

  constructor(params) {
    this.params = params;
  }
  on(event, hook) {
    this.#hooks[event] = hook;
  }
  onError(hook) {
    this.on("error", hook);
  }
  onClose(hook) {
    this.on("close", hook);
  }
  join() {
    return this.#push(this.joins, "phx_join", this.params());
  }
  push(event, payload, timeout) {
    return this.#push(this.pushes, event, payload, timeout);
  }
  #push(list, event, payload, timeout) {
    const push = { event, payload, timeout, sent: this.sends, answers: {} };
    push.receive = (status, hook) => {
      push.answers[status] = hook;
      return push;
    };
    list.push(push);
    return push;
  }
  happens(what, ...args) {
    this.#hooks[what](...args);
  }
}

function fake(options) {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  return resumable({ channel: (_topic, params) => new FakeChannel(params) }, "t", options);
}

/** A publish and how it ended. */
function publish(channel, options, payload = {}) {
  const state = {};
  channel.publish("event", payload, options).then(
    (value) => (state.value = value),
    ({ reason, outcome }) => (state.error = { reason, outcome }),
  );
  return state;
}

const settle = () => new Promise((wake) => setImmediate(wake));
const refusal = (outcome, retry) => ({ reason: "refused", outcome, retry });

test("not published: again, with or without a key", async () => {
  for (const options of [{}, { key: null }]) {
    const channel = fake();
    const state = publish(channel, options);
    channel.pushes[0].answers.error(refusal("not_published", true));
    assert.equal(channel.pushes.length, 1, "after a pause");
    mock.timers.tick(100);
    assert.equal(channel.pushes.length, 2);
    assert.deepEqual(channel.pushes[1].payload, channel.pushes[0].payload);
    channel.pushes[1].answers.ok({ offset: 7 });
    await settle();
    assert.equal(state.value.offset, 7);
  }
});

test("unknown: again under the same key, or not at all", async () => {
  const channel = fake();
  const [keyed, keyless] = [publish(channel), publish(channel, { key: null })];
  assert.match(channel.pushes[0].payload[2].key, /^[0-9a-f]{32}$/);
  assert.equal(channel.pushes[1].payload.length, 2);
  for (const push of [...channel.pushes]) push.answers.error(refusal("unknown", true));
  mock.timers.tick(100);
  await settle();
  assert.equal(channel.pushes.length, 3);
  assert.deepEqual(channel.pushes[2].payload, channel.pushes[0].payload);
  assert.deepEqual(keyless.error, { reason: "refused", outcome: "unknown" });
  assert.deepEqual(keyed, {});
});

test("what may have been published stays unknown, whatever is refused later", async () => {
  const channel = fake();
  const [cut, unanswered] = [publish(channel), publish(channel)];
  channel.pushes[1].answers.timeout();
  channel.happens("error");
  mock.timers.tick(100);
  assert.equal(channel.pushes.length, 4);
  for (const push of channel.pushes.slice(2)) push.answers.error(refusal("not_published", false));
  await settle();
  for (const state of [cut, unanswered]) assert.deepEqual(state.error, { reason: "refused", outcome: "unknown" });
});

test("the pause between tries doubles to two seconds, and a minute is the end", async () => {
  const channel = fake();
  const state = publish(channel);
  const tries = [];
  for (let ms = 0; ms <= 60_000 && !state.error; ms += 10) {
    const push = channel.pushes[tries.length];
    if (push) {
      assert.ok(push.timeout <= 10_000 && push.timeout <= 60_000 - ms);
      tries.push(ms);
      push.answers.error(refusal("not_published", true));
      await settle();
    }
    mock.timers.tick(10);
  }
  const pauses = tries.slice(1).map((ms, index) => ms - tries[index]);
  pauses.forEach((pause, index) => {
    const most = Math.min(100 * 2 ** index, 2_000);
    assert.ok(pause >= most / 2 && pause <= most + 10, `pause ${index}: ${pause} ms`);
  });
  assert.ok(tries.at(-1) >= 57_000);
  assert.deepEqual(state.error, { reason: "refused", outcome: "not_published" });
});

test("nobody waits longer than keys are remembered", async () => {
  const channel = fake();
  const state = publish(channel, { giveUpMs: 1e9 });
  for (let ms = 0; ms < 110_000 && !state.error; ms += 10_000) {
    channel.happens("error");
    mock.timers.tick(10_000);
  }
  channel.happens("error");
  await settle();
  assert.deepEqual(state.error, { reason: "no answer in time", outcome: "unknown" });
});

test("a late refusal of an earlier copy says nothing, a late acknowledgement does", async () => {
  const channel = fake();
  const state = publish(channel);
  channel.happens("error");
  assert.equal(channel.pushes.length, 2);
  channel.pushes[0].answers.timeout();
  channel.pushes[0].answers.error(refusal("not_published", false));
  mock.timers.tick(5_000);
  await settle();
  assert.equal(channel.pushes.length, 2);
  assert.deepEqual(state, {});
  channel.pushes[0].answers.ok({ offset: 3 });
  await settle();
  assert.equal(state.value.offset, 3);
  channel.happens("error");
  assert.equal(channel.pushes.length, 2, "it has ended");
});

test("an acknowledgement during the pause ends it", async () => {
  const channel = fake();
  publish(channel);
  channel.happens("error");
  channel.pushes[1].answers.error(refusal("not_published", true));
  channel.pushes[0].answers.ok({ offset: 3 });
  mock.timers.tick(1_000);
  assert.equal(channel.pushes.length, 2);
});

test("a copy that waits for the next join is not joined by another, and was not sent", async () => {
  const channel = fake();
  channel.sends = false;
  const state = publish(channel, { key: null });
  channel.happens("error");
  channel.happens("error");
  assert.equal(channel.pushes.length, 1);
  channel.happens("close");
  await settle();
  assert.deepEqual(state.error, { reason: "channel left", outcome: "not_published" });
});

test("copies keep the order of their publishes", () => {
  const channel = fake();
  for (const key of ["a", "b", "c"]) publish(channel, { key });
  channel.happens("error");
  publish(channel, { key: "d" });
  assert.deepEqual(channel.pushes.slice(3).map(({ payload }) => payload[2].key), ["a", "b", "c", "d"]);
});

test("each join asks for what is missing, beside the application's own payload", () => {
  const lost = [];
  const channel = fake({ params: { token: "x" }, onLost: (told) => lost.push(told) });
  const push = channel.join();
  assert.deepEqual(push.payload, { token: "x", positions: true });
  assert.equal(channel.position, null);
  channel.onMessage("event", {}, null); // before the reply, no server sends one
  assert.equal(channel.position, null);
  push.answers.ok({ epoch: "e", offset: 4 });
  for (const message of [["event", {}, 5], ["bytes", new ArrayBuffer(1), null], ["bytes", new ArrayBuffer(0), null]]) {
    channel.onMessage(...message);
  }
  // Neither replies nor phoenix.js's own messages count.
  for (const message of [["phx_reply", {}, "9"], ["chan_reply_9", {}], ["phx_error", undefined], ["position", {}, null]]) {
    channel.onMessage(...message);
  }
  assert.deepEqual(channel.params(), { token: "x", resume: { epoch: "e", offset: 7 } });
  push.answers.ok({ epoch: "e", offset: 7, recovered: true });
  assert.deepEqual(lost, []);
});

test("a server without positions has lost what there was", () => {
  const lost = [];
  const channel = fake({ onLost: (told) => lost.push(told) });
  const push = channel.join();
  push.answers.ok({});
  push.answers.ok({});
  assert.deepEqual(lost, []);
  push.answers.ok({ epoch: "e", offset: 0 });
  push.answers.ok({});
  assert.deepEqual(lost, [{ from: { epoch: "e", offset: 0 }, position: null }]);
  assert.deepEqual(channel.params(), { positions: true });
});
