// What users of the types write. Checked by types.test.mjs, never run.

import { Channel, Socket } from "phoenix";

import { resumable, PublishError, type Lost, type Position, type ResumableChannel } from "../index.js";

const socket = new Socket("/socket");
const stored: Position | null = null;
const channel: ResumableChannel = resumable(socket, "topics:matrix", {
  params: () => ({ token: "t" }),
  position: stored,
  onLost: ({ from, position, oldest }: Lost) => [from?.offset, position?.epoch, oldest?.toFixed()],
});
const stock: Channel = channel;
const ref: number = channel.on("event", (payload, offset) => console.log(payload.message, offset?.toFixed()));
stock.off("event", ref);
channel.join().receive("ok", () => {});
const epoch: string | undefined = channel.position?.epoch;

try {
  const { offset, key } = await channel.publish("event", { epoch }, { key: "k", giveUpMs: 5_000 });
  offset.toFixed();
  key?.length;
  await channel.publish("bytes", new ArrayBuffer(3));
} catch (error) {
  if (error instanceof PublishError && error.outcome === "unknown") console.log(error.key);
}

// @ts-expect-error: a position has both
resumable(socket, "topics:matrix", { position: { offset: 1 } });
// @ts-expect-error: an event's payload is an object
await channel.publish("event", "text");
