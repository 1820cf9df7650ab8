// The npm package socket.io-client, driven line by line: a command of JSON comes in on each line, and what happens goes out as
// JSON on a line. It ends with its input.
//
//   {"do": "connect", "url": …, "options": {…}}     {"do": "emit", "name": …, "data": …, "ack": true?}
//   {"do": "auth", "auth": {…}}                     {"do": "disconnect"}, {"do": "reconnect"}, {"do": "drop"}
"use strict";
const { io } = require("socket.io-client");
const lines = require("node:readline").createInterface({ input: process.stdin });

let socket;
const tell = (event, members) => process.stdout.write(JSON.stringify({ event, ...members }) + "\n");

const commands = {
  connect({ url, options }) {
    socket = io(url, { reconnectionDelay: 50, reconnectionDelayMax: 200, forceNew: true, ...options });
    // Before "connect": the upgrade may be there first.
    socket.io.on("open", () => socket.io.engine.once("upgrade", (transport) => tell("upgrade", { transport: transport.name })));
    socket.on("connect", () => tell("connect", { transport: socket.io.engine.transport.name }));
    socket.on("connect_error", (error) => tell("connect_error", { message: error.message, code: error.data?.code, active: socket.active }));
    socket.on("disconnect", (reason) => tell("disconnect", { reason, active: socket.active }));
    socket.onAny((name, ...data) => tell("event", { name, data }));
  },
  emit({ name, data, ack }) {
    const wanted = data === undefined ? [] : [data];
    if (ack) wanted.push((...answer) => tell("ack", { name, data: answer }));
    socket.emit(name, ...wanted);
  },
  auth({ auth }) {
    socket.auth = auth;
  },
  disconnect() {
    socket.disconnect();
  },
  reconnect() {
    socket.connect();
  },
  // A lost connection: the client notices, and comes back by itself.
  drop() {
    socket.io.engine.close();
  },
};

lines.on("line", (line) => {
  const command = JSON.parse(line);
  commands[command.do](command);
});
lines.on("close", () => process.exit(0));
