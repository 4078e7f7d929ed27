const cluster = require('node:cluster');
const { readFileSync } = require('node:fs');
const { createServer } = require('node:http');
const { join } = require('node:path');

const WORKERS = 2;

if (cluster.isPrimary) {
  for (let i = 0; i < WORKERS; i += 1) cluster.fork();
  cluster.on('exit', (worker, code, signal) => {
    if (worker.exitedAfterDisconnect) return;
    console.error(`worker ${worker.process.pid} ended (${signal ?? code}), starting another`);
    cluster.fork();
  });
} else {
  const version = readFileSync(join(__dirname, 'VERSION'), 'utf8').trim();

  const server = createServer((req, res) => {
    res.setHeader('X-App-Version', version);
    if (req.url !== '/') res.statusCode = 404;
    res.end(`cluster ${version} worker ${cluster.worker.id}\n`);
  });

  server.listen(process.env.PORT || 3000);
}
