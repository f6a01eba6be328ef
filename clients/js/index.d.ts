import type { Channel, Socket } from "phoenix";

/** A place in a topic's order: after the message that has this offset, in the life of the topic that has this epoch. */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

/** What `onLost` is told: messages between two positions did not and will not arrive. */
export interface Lost {
  /** The last position before the loss; null if there was none. */
  from: Position | null;
  /**
   * Events go on after this one. With another epoch than in `from`, nobody knows how many are between. Null if the
   * server has no positions.
   */
  position: Position | null;
  /** The oldest offset that the server still remembers, if it said so. */
  oldest?: number;
}

export interface Options {
  /** The application's own join payload, as in `socket.channel(topic, params)`. A function is asked at every join. */
  params?: object | (() => object);
  /** Where to go on: a `channel.position` that was stored before. */
  position?: Position | null;
  /** Called before the first event that comes after a loss. */
  onLost?: (lost: Lost) => void;
}

export interface PublishOptions {
  /** 1 to 64 bytes; by default random; null: none. The same message under the same key counts once, for two minutes. */
  key?: string | null;
  /** How long to try again, in milliseconds; 60,000 by default, 110,000 at most. */
  giveUpMs?: number;
}

export interface Published {
  /** The message's place in the topic's order. */
  offset: number;
  key: string | null;
}

/** A publish that has ended without an acknowledgement. */
export class PublishError extends Error {
  readonly reason: string;
  /** "unknown": it may have been published. Publishing the same again under the same key counts once. */
  readonly outcome: "not_published" | "unknown";
  readonly key: string | null;
  constructor(fields: { reason: string; outcome: "not_published" | "unknown"; key: string | null });
}

/** A channel of stock phoenix.js, with two additions. */
export interface ResumableChannel extends Channel {
  /** `offset` is undefined for an event of bytes; `channel.position` counts it all the same. */
  on(event: string, callback: (payload: any, offset?: number) => void): number;
  /** The position of the last event that came; null before the first join. */
  readonly position: Position | null;
  /** Resolves once the message has its place in the topic's order; rejects with a `PublishError`. */
  publish(event: string, payload: object, options?: PublishOptions): Promise<Published>;
}

/** To be used as `socket.channel(topic, params)` would be. */
export function resumable(socket: Socket, topic: string, options?: Options): ResumableChannel;
