import { readFileSync } from 'node:fs';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';

const version = readFileSync(new URL('VERSION', import.meta.url), 'utf8').trim();
const app = new Hono();

app.get('/', (c) => c.text(`hono ${version}\n`, 200, { 'X-App-Version': version }));

serve({ fetch: app.fetch, port: Number(process.env.PORT) || 3000 }, (info) => {
  console.log(`listening on ${info.port}`);
});
