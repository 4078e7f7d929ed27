const { readFileSync } = require('node:fs');
const { createServer } = require('node:http');
const { join } = require('node:path');

const version = readFileSync(join(__dirname, 'VERSION'), 'utf8').trim();

const server = createServer((req, res) => {
  res.setHeader('X-App-Version', version);
  if (req.url !== '/') res.statusCode = 404;
  res.end(`http-port ${version}\n`);
});

server.listen(process.env.PORT || 3000);
