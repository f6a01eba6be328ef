// Stock phoenix.js that misses nothing: what clients/js does, by hand.
//
//   npm install phoenix ws
//   node resume-by-hand.mjs ws://127.0.0.1:4000/socket topics:matrix
//
// Publish to the topic from elsewhere, end the gateway, start it again: nothing is missing.

import { Socket } from "phoenix";
import { WebSocket } from "ws"; // browsers have their own

const [url = "ws://127.0.0.1:4000/socket", topic = "topics:matrix"] = process.argv.slice(2);
const socket = new Socket(url, { transport: WebSocket });
socket.connect();

let position = null; // of the last event that came
const wanted = () => (position ? { resume: position } : { positions: true }); // asked at every join
const channel = socket.channel(topic, wanted);

channel.onMessage = (event, payload, ref) => {
  if (typeof ref === "number") position.offset = ref; // an event
  if (payload instanceof ArrayBuffer) position.offset += 1; // an event of bytes, whose frame has no room for its offset
  return payload;
};
const move = ({ epoch, offset, recovered }) => {
  if (recovered === false) console.log("lost what came after", position?.offset, "and up to", offset);
  position = { epoch, offset };
};
channel.on("position", move); // a loss while joined
channel.on("event", (payload, offset) => console.log(offset, payload));
channel.join().receive("ok", (response) => {
  move(response);
  console.log("joined after", position.offset);
});
