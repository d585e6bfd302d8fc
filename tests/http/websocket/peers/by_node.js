// Node's own WebSocket, a client as browsers have it. Usage: node --experimental-websocket by_node.js close|stay URL; says "echoed", and when it is over "closed CODE REASON".

process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
const [mode, url] = process.argv.slice(2);
const socket = new WebSocket(url, ["v3", "v1"]);
socket.binaryType = "arraybuffer";
const messages = ["", "grüße", new Uint8Array(0), new Uint8Array(1_000_000).fill(7)];
const same = (sent, heard) => (typeof sent === "string" ? sent === heard : Buffer.from(sent).equals(Buffer.from(heard)));
let n = 0;

socket.onopen = () => {
    if (socket.protocol !== "v1") throw new Error(`the subprotocol is ${socket.protocol}`);
    socket.send(messages[0]);
};
socket.onmessage = (event) => {
    if (!same(messages[n], event.data)) throw new Error(`message ${n} came back as another`);
    n += 1;
    if (n < messages.length) return socket.send(messages[n]);
    console.log("echoed");
    if (mode === "close") socket.close(4001, "done");
};
socket.onclose = (event) => console.log("closed", event.code, event.reason || "-");
socket.onerror = (event) => console.log("error", event.message || event.error || event.type);
