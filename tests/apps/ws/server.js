const { readFileSync } = require('node:fs');
const { createServer } = require('node:http');
const { join } = require('node:path');
const { WebSocketServer } = require('ws');

const version = readFileSync(join(__dirname, 'VERSION'), 'utf8').trim();

const server = createServer((req, res) => {
  res.setHeader('X-App-Version', version);
  if (req.url !== '/') res.statusCode = 404;
  res.end(`ws ${version}\n`);
});

const sockets = new WebSocketServer({ server, path: '/ws' });
sockets.on('connection', (socket) => {
  socket.on('message', (data, binary) => socket.send(data, { binary }));
  socket.on('error', console.error);
});

server.listen(process.env.PORT || 3000);
