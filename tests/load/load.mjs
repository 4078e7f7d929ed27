#!/usr/bin/env node
// Strictly counted traffic on one app: nothing is retried, each request ends as one `ok` or one loss.
// Plain node, raw sockets. The app must answer as tests/apps/load does. The summary goes to stdout as JSON.
// Exit status: 0 nothing was lost, 1 something was, 2 wrong usage. `ready` on stderr when every kind has been answered.
import { parseArgs } from 'node:util';
import { KINDS, Load } from './traffic.mjs';
import { Tally } from './tally.mjs';

const NUMBERS = {
  seconds: [20, 'how long new work begins; SIGINT or SIGTERM end it earlier'],
  grace: [20, 'seconds that work under way may take after that'],
  keepalive: [16, 'clients that send GET / on one connection each'],
  fresh: [16, 'clients that send GET / on a new connection each time'],
  poll: [8, 'clients that wait for slow answers'],
  upload: [2, 'clients that send long bodies'],
  stream: [2, 'clients that read long bodies'],
  websocket: [8, 'clients with an open WebSocket each'],
  'pause-ms': [30, 'between two requests of a client'],
  'poll-ms': [3000, 'how long a slow answer takes'],
  'upload-ms': [3000, 'how long a body takes to send'],
  'upload-bytes': [1 << 20, 'its length'],
  'stream-ms': [3000, 'how long a body takes to come'],
  'echo-ms': [200, 'between two echoes of a WebSocket'],
  'stall-ms': [15000, 'a byte that is due later than this is lost'],
  'stale-ms': [-1, 'answers of an older version so long after a newer one fail the run; -1: they are only counted'],
};

function usage(complaint) {
  const rows = Object.entries(NUMBERS).map(([name, [value, what]]) => `  --${name.padEnd(14)} ${what} (${value})`);
  const text = ['usage: load.mjs --url URL [--unix SOCKET] [--NAME NUMBER]…', ...rows].join('\n');
  (complaint ? console.error : console.log)(complaint ? `${complaint}\n${text}` : text);
  process.exit(complaint ? 2 : 0);
}

function options() {
  const text = { type: 'string' };
  const names = Object.fromEntries(Object.keys(NUMBERS).map((name) => [name, text]));
  let given;
  try {
    given = parseArgs({ options: { ...names, url: text, unix: text, help: { type: 'boolean' } } }).values;
  } catch (error) {
    usage(error.message);
  }
  if (given.help) usage();
  const number = Object.fromEntries(Object.entries(NUMBERS).map(([name, [value]]) => [name, Number(given[name] ?? value)]));
  for (const [name, value] of Object.entries(number)) if (Number.isNaN(value)) usage(`--${name} needs a number`);
  const address = given.url ?? 'http://127.0.0.1:8080';
  if (!/^http:\/\/[^/]/.test(address) || !URL.canParse(address)) usage('--url needs an http address');
  const url = new URL(address);
  const target = given.unix ? { path: given.unix } : { host: url.hostname, port: Number(url.port || 80) };
  return { ...number, host: url.host, target };
}

const wanted = options();
const counts = Object.fromEntries(Object.keys(KINDS).filter((kind) => wanted[kind] > 0).map((kind) => [kind, wanted[kind]]));
const tally = new Tally(Object.keys(counts));
const load = new Load({
  host: wanted.host, target: wanted.target, pauseMs: wanted['pause-ms'], pollMs: wanted['poll-ms'], echoMs: wanted['echo-ms'],
  uploadMs: wanted['upload-ms'], uploadBytes: wanted['upload-bytes'], streamMs: wanted['stream-ms'], stallMs: wanted['stall-ms'],
}, tally);

const clients = Object.entries(counts).flatMap(([kind, n]) => Array.from({ length: n }, () => KINDS[kind](load)));
const ready = setInterval(() => {
  if (!tally.allAnswered()) return;
  clearInterval(ready);
  console.error('ready');
}, 50);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => load.stop());

await load.pause(wanted.seconds * 1000);
load.stop();
const inTime = await Promise.race([
  Promise.all(clients).then(() => true),
  new Promise((resolve) => { setTimeout(resolve, wanted.grace * 1000, false); }),
]);
const staleMs = wanted['stale-ms'] < 0 ? Infinity : wanted['stale-ms'];
const summary = tally.summary({ staleMs });
if (!inTime) {
  summary.pass = false;
  summary.why.push(`work was still under way ${wanted.grace} s after the end`);
}
process.stdout.write(`${JSON.stringify(summary, null, 1)}\n`, () => process.exit(summary.pass ? 0 : 1));
