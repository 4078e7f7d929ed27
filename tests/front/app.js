// An app for load tests, without dependencies: listens on the path in argv, and names its version in every answer.
'use strict';
const { createHash } = require('node:crypto');
const { createServer } = require('node:http');

const [path, version] = process.argv.slice(2);

const text = (res, words) => res.writeHead(200, { 'Content-Type': 'text/plain' }).end(`${words}\n`);

let answered = 0;

const server = createServer((req, res) => {
  if (req.url === '/answered') return text(res, answered);
  res.on('finish', () => { answered += 1; });
  res.setHeader('X-App-Version', version);
  const url = new URL(req.url, 'http://app');
  if (url.pathname === '/slow') return setTimeout(() => text(res, version), Number(url.searchParams.get('ms')));
  if (url.pathname === '/stream') return stream(res, Number(url.searchParams.get('s')) * 5);
  if (url.pathname === '/refuse') return res.writeHead(413, { Connection: 'close' }).end('too much');
  if (req.method === 'POST') return upload(req, res);
  return text(res, version);
});

function stream(res, left) {
  res.write(`${version}\n`);
  const timer = setInterval(() => {
    left -= 1;
    if (left > 0) return res.write(`${version}\n`);
    clearInterval(timer);
    return res.end('end\n');
  }, 200);
  res.on('close', () => clearInterval(timer));
}

function upload(req, res) {
  let bytes = 0;
  req.on('data', (chunk) => { bytes += chunk.length; });
  req.on('end', () => text(res, bytes));
}

// A WebSocket that echoes short messages.
server.on('upgrade', (req, socket) => {
  const accept = createHash('sha1')
    .update(`${req.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64');
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
    + `Sec-WebSocket-Accept: ${accept}\r\nX-App-Version: ${version}\r\n\r\n`);
  let held = Buffer.alloc(0);
  socket.on('error', () => socket.destroy());
  socket.on('end', () => socket.end());
  socket.on('data', (data) => {
    held = Buffer.concat([held, data]);
    while (held.length >= 6 && held.length >= 6 + (held[1] & 127)) {
      const size = held[1] & 127;
      const mask = held.subarray(2, 6);
      const payload = Buffer.from(held.subarray(6, 6 + size).map((byte, i) => byte ^ mask[i & 3]));
      const opcode = held[0] & 15;
      held = held.subarray(6 + size);
      socket.write(Buffer.concat([Buffer.from([0x80 | opcode, size]), payload]));
      if (opcode === 8) socket.end();
    }
  });
});

server.listen(path);
