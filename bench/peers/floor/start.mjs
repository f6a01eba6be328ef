#!/usr/bin/env node
// The floor: one `send` per delivery and nothing else. One process, since there is nothing to share.

import { free, listening, need, options, ready, server } from "../common.mjs";

const { port, core, bin } = options(
  "usage: bench/peers/floor/start.mjs [--port P] [--core N] [--bin FILE]: the floor server",
  {
    bin: { type: "string", default: "target/release/campanile" },
  },
);
need(bin, "--version", "cargo build --release, or name the program with --bin");
await free(port);
server(core, "floor", `127.0.0.1:${port}`, bin, ["bench", "floor-server", "--listen", `127.0.0.1:${port}`]);
await listening(port);
ready("one send per delivery");
