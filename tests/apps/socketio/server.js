const { readFileSync } = require('node:fs');
const { createServer } = require('node:http');
const { join } = require('node:path');
const { Server } = require('socket.io');

const version = readFileSync(join(__dirname, 'VERSION'), 'utf8').trim();

const server = createServer((req, res) => {
  res.setHeader('X-App-Version', version);
  if (req.url !== '/') res.statusCode = 404;
  res.end(`socketio ${version}\n`);
});

const io = new Server(server);
io.on('connection', (socket) => {
  socket.on('echo', (message) => socket.emit('echo', message));
});

server.listen(process.env.PORT || 3000);
