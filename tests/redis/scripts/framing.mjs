// How commands are written: inline, in pieces, many at once; and what is no command.

import { pipeline, raw, say, script } from "./step.mjs";
import { command } from "../resp.mjs";

const TWO_OWNERS = "each channel has an owner of its own in a cluster, so only a channel has an order; Redis is one process";

const pieces = (connection, bytes) => {
  const all = Array.from(bytes.toString("latin1"));
  return all.map((byte, index) => raw(connection, byte, { partial: index < all.length - 1 }));
};
const fault = (name, bytes) =>
  script(`protocol fault: ${name}`, [say("b", "SUBSCRIBE fault"), raw("a", bytes, { closes: true }), say("b", "PING")]);

export default [
  script("inline commands", [
    raw("a", "PING\r\n"),
    raw("a", "PING\n"),
    raw("a", "ping hello\r\n"),
    raw("a", "  PING   spaces   \r\n"),
    raw("a", 'ECHO "two words"\r\n'),
    raw("a", "ECHO 'two words'\r\n"),
    raw("a", "ECHO 'it\\'s'\r\n"),
    raw("a", 'ECHO "\\x00\\xff\\n\\r\\t\\"\\\\"\r\n'),
    raw("a", 'ECHO ""\r\n'),
    raw("a", "\r\nPING after-an-empty-line\r\n"),
    raw("a", "   \r\nPING after-spaces\r\n"),
    raw("a", "SUBSCRIBE inline-1\r\n"),
    raw("a", "PING\r\nPING x\r\n"),
    raw("b", "PUBLISH inline-1 hello\r\n"),
    raw("b", 'PUBLISH inline-1 "two words"\r\n'),
    raw("b", "FOOBAR x\r\n"),
  ]),
  script("inline and arrays in one write", [
    raw("a", `PING one\r\n${command("PING two").toString("latin1")}PING three\r\n`),
  ]),
  script("a command byte by byte", [
    ...pieces("a", command("SUBSCRIBE bytes")),
    ...pieces("b", command(["PUBLISH", "bytes", "one\r\ntwo"])),
    ...pieces("b", Buffer.from("PING inline\r\n")),
  ]),
  script("pipelines", [
    pipeline("a", Array.from({ length: 100 }, (_, n) => `ECHO ${n}`)),
    pipeline("a", ["PING", "FOOBAR x", "PING after", "ECHO", "ECHO after"]),
    pipeline("a", ["SUBSCRIBE pipe-1", "SUBSCRIBE pipe-2 pipe-3", "PING", "UNSUBSCRIBE pipe-2", "PSUBSCRIBE pipe-*", "PING x"]),
    pipeline("b", ["PUBLISH pipe-3 one", "PUBLISH pipe-2 two", "PING", "PUBSUB NUMSUB pipe-1 pipe-2 pipe-3"], {
      perChannel: TWO_OWNERS,
    }),
    pipeline("b", ["PUBLISH pipe-3 four", "PUBLISH pipe-3 five"]),
    pipeline("a", ["PUNSUBSCRIBE pipe-*", "UNSUBSCRIBE pipe-1", "UNSUBSCRIBE pipe-3", "PING", "PUBLISH pipe-1 nobody"]),
  ]),
  script("the protocol changes within a pipeline", [
    pipeline("a", ["PING", "HELLO 3", "SUBSCRIBE switch", "HELLO 3", "PING", "PSUBSCRIBE switch*", "ECHO x"]),
    say("b", "PUBLISH switch one"),
    pipeline("a", ["CONFIG GET no-such", "RESET", "PING", "CONFIG GET no-such", "SUBSCRIBE switch", "PING"]),
    say("b", "PUBLISH switch two"),
    pipeline("a", ["RESET", "ECHO x", "HELLO 3", "SUBSCRIBE switch", "UNSUBSCRIBE", "CLIENT GETNAME", "HELLO 2", "CLIENT GETNAME"]),
    say("b", "PUBLISH switch three"),
  ]),
  script("a pipeline that subscribes, leaves and publishes", [
    say("c", "SUBSCRIBE churn"),
    pipeline("a", [
      "PUBLISH churn 1",
      "HELLO 3",
      "SUBSCRIBE churn",
      "UNSUBSCRIBE churn",
      "PUBLISH churn 2",
      "SSUBSCRIBE churn",
      "SUNSUBSCRIBE churn",
      "SPUBLISH churn 3",
      "PSUBSCRIBE chur?",
      "PUNSUBSCRIBE chur?",
      "PUBLISH churn 4",
      "PUBSUB NUMSUB churn",
      "PUBSUB NUMPAT",
    ]),
    say("b", "PUBLISH churn 5"),
  ]),
  script("ten thousand publishes in one write", [
    say("a", "SUBSCRIBE flood"),
    pipeline("b", Array.from({ length: 10_000 }, (_, n) => `PUBLISH flood ${n}`)),
    say("b", "PUBSUB NUMSUB flood"),
  ], { protocols: [2] }),
  script("many publishes in one write keep their order", [
    say("a", "SUBSCRIBE order"),
    say("b", "SUBSCRIBE order"),
    pipeline("c", Array.from({ length: 300 }, (_, n) => `PUBLISH order ${n}`)),
    pipeline("d", Array.from({ length: 300 }, (_, n) => `PUBLISH order ${n}`)),
  ]),
  script("empty arrays are no commands", [raw("a", "*0\r\n*-1\r\nPING\r\n"), say("a", "PING")]),
  fault("no bulk string", "*1\r\n:1\r\n"),
  fault("no bulk string, after a good command", "PING\r\n*2\r\n$4\r\nPING\r\n+x\r\n"),
  fault("a length that is no number", "*x\r\n"),
  fault("a length that is no number at all", "*\r\n"),
  fault("too many arguments", "*2147483648\r\n"),
  fault("a bulk length that is no number", "*1\r\n$x\r\n"),
  fault("a negative bulk length", "*1\r\n$-1\r\n"),
  fault("a bulk of more than 512 MB", "*3\r\n$7\r\nPUBLISH\r\n$1\r\nx\r\n$536870913\r\n"),
  fault("a bulk length beyond 64 bits", "*1\r\n$99999999999999999999\r\n"),
  fault("quotes that do not end", 'ECHO "x\r\n'),
  fault("quotes with more behind them", 'ECHO "x"y\r\n'),
  fault("a line that does not end", "x".repeat(65_537)),
  fault("a count that does not end", `*${"1".repeat(65_536)}`),
  fault("a bulk length that does not end", `*1\r\n$${"1".repeat(65_536)}`),
];
