// Node's https as a server: what a session's tests ask for. Usage: server.js CERT KEY; says "listening PORT".
const fs = require("fs"), https = require("https"), zlib = require("zlib");
const [cert, key] = process.argv.slice(2).map((file) => fs.readFileSync(file));
const text = "to be or not to be, ".repeat(1000);

const pages = {
  "/hello": (request, response) => response.end("hello from node"),
  "/echo": (request, response) => {
    response.writeHead(200, { "x-method": request.method, "x-type": request.headers["content-type"] || "" });
    request.pipe(response);
  },
  "/gzip": (request, response) => compressed(response, "gzip", zlib.gzipSync(text)),
  "/br": (request, response) => compressed(response, "br", zlib.brotliCompressSync(text)),
  "/deflate": (request, response) => compressed(response, "deflate", zlib.deflateSync(text)),
  "/raw-deflate": (request, response) => compressed(response, "deflate", zlib.deflateRawSync(text)),
  "/redirect": (request, response) => response.writeHead(307, { location: "/echo" }).end(),
  "/auth": (request, response) => response.end(request.headers.authorization || ""),
  "/hints": (request, response) => {
    response.writeEarlyHints({ link: "</style.css>; rel=preload" });
    response.end("after the hints");
  },
  "/trailers": (request, response) => {
    response.writeHead(200, { trailer: "x-sum" });
    response.write("body");
    response.addTrailers({ "x-sum": "42" });
    response.end();
  },
  "/large": (request, response) => {
    let left = 256;
    const more = () => {
      while (left-- > 0) if (!response.write(Buffer.alloc(65536, 97))) return response.once("drain", more);
      response.end();
    };
    more();
  },
  "/truncated": (request, response) => {
    response.writeHead(200, { "content-length": 1000 });
    response.write("only this", () => request.socket.destroy());
  },
  "/close": (request, response) => response.writeHead(200, { connection: "close" }).end("the last"),
  "/never": () => {},
};

function compressed(response, encoding, body) {
  response.writeHead(200, { "content-encoding": encoding, "content-type": "text/plain; charset=utf-8" });
  response.end(body);
}

const server = https.createServer({ cert, key, keepAliveTimeout: 300000 }, (request, response) => {
  const page = pages[request.url.split("?")[0]];
  page ? page(request, response) : response.writeHead(404).end("no such page");
});
server.on("checkContinue", (request, response) => {
  if (request.url === "/refused") return response.writeHead(417).end("not wanted");
  response.writeContinue();
  request.pipe(response);
});
server.listen(0, "127.0.0.1", () => console.log("listening", server.address().port));
