// A WebSocket as websocat has it: lines out, lines in.

import { once } from "node:events";

import { WebSocket } from "ws";

import { eventually } from "../../tests/clients/harness.mjs";

export class Terminal {
  printed = []; // every text frame that is not taken yet, parsed
  #socket;
  #replies = 0;

  static async open(gateway) {
    const terminal = new Terminal();
    terminal.#socket = new WebSocket(`ws://${gateway.address}/socket/websocket?vsn=2.0.0`);
    terminal.#socket.on("message", (bytes, isBinary) => {
      if (isBinary) return;
      const frame = JSON.parse(bytes);
      terminal.printed.push(frame);
      if (frame[3] === "phx_reply") terminal.#replies += 1;
    });
    await once(terminal.#socket, "open");
    return terminal;
  }

  /** Sends a frame and waits for its reply. */
  async say(frame) {
    await this.#send(JSON.stringify(frame));
  }

  /** Publishes bytes. */
  async sayBytes(joinRef, topic, event, bytes) {
    const names = [joinRef, "b", topic, event];
    const header = [0, ...names.map((name) => name.length)];
    await this.#send(Buffer.concat([Buffer.from(header), Buffer.from(names.join("")), Buffer.from(bytes)]));
  }

  /** As Ctrl-C does: resolves once nothing more is printed. */
  async close() {
    this.#socket.terminate();
    if (this.#socket.readyState !== WebSocket.CLOSED) await once(this.#socket, "close");
  }

  async #send(data) {
    const replies = this.#replies + 1;
    this.#socket.send(data);
    await eventually(`the reply to ${data}`, () => this.#replies >= replies);
  }
}
