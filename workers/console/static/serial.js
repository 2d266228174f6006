// A server's serial console: what the WebSocket says is written to a terminal, and what is typed is
// sent. The page's own address has the token.
"use strict";

const state = document.getElementById("state");
const terminal = new Terminal({ cursorBlink: true, scrollback: 5000, cols: 100, rows: 32 });
terminal.open(document.getElementById("screen"));
terminal.focus();

const scheme = location.protocol === "https:" ? "wss:" : "ws:";
const socket = new WebSocket(`${scheme}//${location.host}${location.pathname}${location.search}`, ["binary"]);
socket.binaryType = "arraybuffer";
const decoder = new TextDecoder();
const encoder = new TextEncoder();

socket.onopen = () => { state.textContent = "Connected. Press Enter if nothing is shown."; };
socket.onmessage = (event) => terminal.write(decoder.decode(event.data, { stream: true }));
socket.onclose = (event) => {
  const reason = event.reason || "it could not be opened: its URL is for one visit";
  state.textContent = `Closed: ${reason}. Ask for a new URL to look again.`;
};
terminal.on("data", (text) => {
  if (socket.readyState === WebSocket.OPEN) {
    socket.send(encoder.encode(text));
  }
});
