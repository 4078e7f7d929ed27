import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const version = (await readFile(new URL('VERSION', import.meta.url), 'utf8')).trim();

// Stands for a database that takes a moment to connect: nothing listens until it has.
await sleep(300);

const server = createServer((req, res) => {
  res.setHeader('X-App-Version', version);
  if (req.url !== '/') res.statusCode = 404;
  res.end(`esm-tla ${version}\n`);
});

await new Promise((resolve) => server.listen(process.env.PORT || 3000, resolve));
