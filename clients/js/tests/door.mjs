// A TCP forwarder in front of the gateways, as a load balancer would be: the client's address stays, the gateway
// behind it changes, and connections break when a test says so.

import { once } from "node:events";
import { connect, createServer } from "node:net";

export class Door {
  #gateway;
  #server;
  #open = true;
  #deaf = false;
  #pairs = new Set();

  /** A door that leads to `gateway`. */
  static async to(gateway) {
    const door = new Door();
    door.#gateway = gateway;
    door.#server = createServer((client) => door.#enter(client));
    door.#server.listen(0, "127.0.0.1");
    await once(door.#server, "listening");
    door.address = `127.0.0.1:${door.#server.address().port}`;
    return door;
  }

  /** Breaks every connection. New ones lead to `gateway`. */
  cut(gateway = this.#gateway) {
    this.#gateway = gateway;
    this.#deaf = false;
    for (const pair of this.#pairs) pair.forEach((socket) => socket.destroy());
  }

  /** Breaks every connection and lets nobody in. */
  close() {
    this.#open = false;
    this.cut();
  }

  open() {
    this.#open = true;
  }

  /** From now on, what gateways say gets lost; until the next cut. */
  swallowAnswers() {
    this.#deaf = true;
  }

  async end() {
    this.close();
    this.#server.close();
    await once(this.#server, "close");
  }

  #enter(client) {
    if (!this.#open) return client.destroy();
    const [host, port] = this.#gateway.address.split(":");
    const server = connect(Number(port), host);
    const pair = [client, server];
    this.#pairs.add(pair);
    client.pipe(server);
    server.on("data", (bytes) => this.#deaf || client.write(bytes));
    for (const socket of pair) {
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#pairs.delete(pair);
        pair.forEach((one) => one.destroy());
      });
    }
  }
}
