// A page to watch a deploy with: leave it open, change the greeting, commit and push.
const { createServer } = require('node:http');
const { readFileSync } = require('node:fs');
const { join } = require('node:path');

const greeting = 'Hello!';
const page = readFileSync(join(__dirname, 'page.html'), 'utf8');
const { PORT = 3000, HANDOVER_RELEASE = '0', HANDOVER_COMMIT = '' } = process.env;
const version = { greeting, release: Number(HANDOVER_RELEASE), commit: HANDOVER_COMMIT.slice(0, 7), pid: process.pid };

createServer((req, res) => {
  res.setHeader('X-App-Version', HANDOVER_RELEASE);
  if (req.url === '/version') {
    res.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
    res.end(JSON.stringify(version));
  } else {
    res.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-store' });
    res.end(page.replaceAll('{{greeting}}', () => greeting));
  }
}).listen(PORT, () => console.log(`release ${version.release} says: ${greeting}`));
