const { readFileSync } = require('node:fs');
const { createServer } = require('node:http');
const { join } = require('node:path');

const { arrive, pass, stopsAt } = require('./doors.js');

const version = readFileSync(join(__dirname, 'VERSION'), 'utf8').trim();
let passes = 0;

function health(res) {
  if (stopsAt('health')) {
    arrive();
    res.statusCode = 503;
    return res.end();
  }
  passes += 1;
  // The first pass is answered at once, the second one is the last thing before the swap.
  if (passes === 1) return res.end();
  pass('swap', () => res.end());
}

const server = createServer((req, res) => {
  if (req.url === '/healthz') return health(res);
  res.end(`version ${version}\n`);
});

pass('start', () => server.listen(process.env.PORT));
