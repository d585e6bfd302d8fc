// Node's http2 as a server: what a session's tests ask for. Usage: http2.js CERT KEY; says "listening PORT".
const fs = require("fs"), http2 = require("http2");
const [cert, key] = process.argv.slice(2).map((file) => fs.readFileSync(file));
const { NGHTTP2_REFUSED_STREAM } = http2.constants;

const pages = {
  "/hello": (stream) => { stream.respond(); stream.end("hello from node"); },
  "/echo": (stream) => { stream.respond(); stream.pipe(stream); },
  "/trailers": (stream) => {
    stream.respond({ ":status": 200 }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": "42" }));
    stream.end("body");
  },
  "/early": (stream) => { stream.respond(); stream.end("not wanted"); },
  "/reset": (stream) => { stream.respond(); stream.write("only this", () => stream.destroy(new Error("out of order"))); },
  "/refused": (stream) => stream.close(NGHTTP2_REFUSED_STREAM),
  "/goaway": (stream) => { stream.respond(); stream.end("the last"); stream.session.close(); },
  "/destroyed": (stream) => { stream.respond(); stream.write("only this", () => stream.session.destroy()); },
  "/never": () => {},
};

const server = http2.createSecureServer({ cert, key });
server.on("stream", (stream, headers) => {
  // A reset by the client is none of ours.
  stream.on("error", () => {});
  const page = pages[headers[":path"]];
  page ? page(stream) : stream.respond({ ":status": 404 }, { endStream: true });
});
server.on("sessionError", () => {});
server.listen(0, "127.0.0.1", () => console.log("listening", server.address().port));
