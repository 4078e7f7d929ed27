// Answers for load tests: every response names the version that gave it.
const { existsSync, readFileSync } = require('node:fs');
const { createServer } = require('node:http');
const { join } = require('node:path');
const { WebSocketServer } = require('ws');

const version = readFileSync(join(__dirname, 'VERSION'), 'utf8').trim();
const graceful = process.env.GRACEFUL || existsSync(join(__dirname, 'GRACEFUL'));
const LINES_PER_SECOND = 5;

const routes = {
  'GET /': (req, res) => text(res, 200, version),
  'GET /slow': slow,
  'GET /stream': stream,
  'POST /upload': upload,
};

const server = createServer((req, res) => {
  res.setHeader('X-App-Version', version);
  const url = new URL(req.url, 'http://app');
  const route = routes[`${req.method} ${url.pathname}`];
  if (route) route(req, res, url.searchParams);
  else text(res, 404, 'not found');
});

function text(res, status, line) {
  res.writeHead(status, { 'Content-Type': 'text/plain' }).end(`${line}\n`);
}

function slow(req, res, query) {
  setTimeout(() => text(res, 200, version), Number(query.get('ms')) || 0);
}

function stream(req, res, query) {
  let left = Math.round((Number(query.get('s')) || 1) * LINES_PER_SECOND);
  res.writeHead(200, { 'Content-Type': 'text/plain' });
  res.write(`${version}\n`);
  const timer = setInterval(() => {
    left -= 1;
    if (left > 0) return res.write(`${version}\n`);
    clearInterval(timer);
    res.end('end\n');
  }, 1000 / LINES_PER_SECOND);
  res.on('close', () => clearInterval(timer));
}

function upload(req, res) {
  let bytes = 0;
  req.on('data', (chunk) => { bytes += chunk.length; });
  req.on('end', () => text(res, 200, bytes));
}

const sockets = new WebSocketServer({ server, path: '/ws' });
sockets.on('headers', (headers) => headers.push(`X-App-Version: ${version}`));
sockets.on('connection', (socket) => {
  socket.on('message', (data, binary) => socket.send(data, { binary }));
  socket.on('error', () => socket.terminate());
});

if (graceful) {
  process.on('SIGTERM', () => server.close(() => process.exit(0)));
}

server.listen(process.env.PORT || 3000);
