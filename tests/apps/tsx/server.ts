import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

const version: string = readFileSync(new URL('VERSION', import.meta.url), 'utf8').trim();
const port: number = Number(process.env.PORT) || 3000;

function answer(req: IncomingMessage, res: ServerResponse): void {
  res.setHeader('X-App-Version', version);
  if (req.url !== '/') res.statusCode = 404;
  res.end(`tsx ${version}\n`);
}

createServer(answer).listen(port);
