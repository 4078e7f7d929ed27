#!/usr/bin/env node
// Provokes every loss with servers that misbehave on purpose, and checks that the load counts it, and nothing else.
// Exit status 0 when all were counted.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KINDS } from './traffic.mjs';
import { LOSSES } from './wire.mjs';

const LOAD = fileURLToPath(new URL('load.mjs', import.meta.url));
const AT_ONCE = 4;
const QUICK = { seconds: 0.6, grace: 3, 'stall-ms': 400, 'upload-ms': 200, 'upload-bytes': 50_000, 'stream-ms': 200, 'echo-ms': 50 };

const answer = (body, version = 'v1', status = '200 OK') => `HTTP/1.1 ${status}\r\nX-App-Version: ${version}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const chunked = (...chunks) => `HTTP/1.1 200 OK\r\nX-App-Version: v1\r\nTransfer-Encoding: chunked\r\n\r\n${chunks.map((c) => `${c.length.toString(16)}\r\n${c}\r\n`).join('')}`;
const accept = (request, key = /sec-websocket-key: (.*)\r\n/i.exec(request)[1]) =>
  `HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: ${createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')}\r\n\r\n`;

/** Behaviours: what a server does with the nth request on a connection. */
const says = (text) => (socket) => socket.write(text);
const saysAndEnds = (text) => (socket) => socket.end(text);
const ends = (socket) => socket.end();
const resets = (socket) => socket.resetAndDestroy();
const silent = () => {};
const opensThen = (then) => (socket, n, request) => {
  if (n > 0) return;
  socket.write(accept(request));
  then(socket);
};

// What happens, the kind of traffic, the server's behaviour (none: nobody listens), the loss that is due (none: all is well).
const CASES = [
  ['an answer on new connections', 'fresh', says(answer('v1\n'))],
  ['many answers on one connection', 'keepalive', says(answer('v1\n'))],
  ['a connection closed between two requests', 'keepalive', saysAndEnds(answer('v1\n'))],
  ['a whole stream', 'stream', says(chunked('v1\n', 'v1\nend\n', ''))],
  ['an informational answer before the real one', 'fresh', says(`HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${answer('v1\n')}`)],
  ['nobody listening', 'fresh', null, 'refused'],
  ['an end without an answer', 'fresh', ends, 'cut'],
  ['a reset without an answer', 'poll', resets, 'cut'],
  ['a reset while a body is sent', 'upload', resets, 'cut'],
  ['an end after an earlier answer', 'keepalive', (socket, n) => (n === 0 ? socket.write(answer('v1\n')) : socket.end()), 'cut_reused'],
  ['an answer without its last byte', 'fresh', saysAndEnds(answer('v1\n').slice(0, -1)), 'torn'],
  ['an answer that ends in its head', 'poll', saysAndEnds('HTTP/1.1 200 OK\r\nX-App-'), 'torn'],
  ['a stream that ends before its end', 'stream', saysAndEnds(chunked('v1\n')), 'torn'],
  ['silence', 'fresh', silent, 'stalled'],
  ['half an answer, then silence', 'stream', says(chunked('v1\n')), 'stalled'],
  ['a 502', 'fresh', says(answer('bad gateway', '', '502 Bad Gateway')), 'server_error'],
  ['a 502 for a WebSocket', 'websocket', says(answer('bad gateway', '', '502 Bad Gateway')), 'server_error'],
  ['a 404', 'fresh', says(answer('no', 'v1', '404 Not Found')), 'unexpected'],
  ['no upgrade', 'websocket', says(answer('v1\n')), 'unexpected'],
  ['a body of somebody else', 'fresh', says(answer('v2\n')), 'mangled'],
  ['something that is not HTTP', 'fresh', says('SSH-2.0-OpenSSH\r\n\r\n'), 'mangled'],
  ['a count that is too small', 'upload', (socket, n) => n === 0 && socket.write(answer('7\n')), 'mangled'],
  ['a stream of two versions', 'stream', says(chunked('v1\n', 'v2\nend\n', '')), 'mangled'],
  ['another echo', 'websocket', opensThen((socket) => socket.write(Buffer.from([0x81, 2, 104, 105]))), 'mangled'],
  ['a WebSocket that ends', 'websocket', opensThen(ends), 'dropped'],
  ['a WebSocket that is reset', 'websocket', opensThen((socket) => setImmediate(() => resets(socket))), 'dropped'],
  ['a WebSocket that is closed by a frame', 'websocket', opensThen((socket) => socket.write(Buffer.from([0x88, 2, 3, 233]))), 'dropped'],
  ['a WebSocket that falls silent', 'websocket', opensThen(silent), 'stalled'],
];

async function run(kind, behave, extra = {}, unix = null) {
  const server = createServer((socket) => {
    let requests = 0;
    socket.on('error', () => {}).on('data', (bytes) => { behave?.(socket, requests, bytes.toString('latin1')); requests += 1; });
  });
  server.listen(unix ?? { port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const target = unix ? ['--unix', unix] : ['--url', `http://127.0.0.1:${server.address().port}`];
  if (!behave) await new Promise((resolve) => { server.close(resolve); });
  const counts = Object.fromEntries(Object.keys(KINDS).map((name) => [name, name === kind ? 1 : 0]));
  const args = Object.entries({ ...QUICK, ...counts, ...extra }).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const result = await new Promise((resolve) => {
    execFile(process.execPath, [LOAD, ...target, ...args], (error, stdout) => resolve({ code: error?.code ?? 0, ...JSON.parse(stdout) }));
  });
  server.close();
  return result;
}

let wrong = 0;
function report(name, right, seen) {
  if (!right) wrong += 1;
  console.log(`${right ? 'ok   ' : 'WRONG'} ${name}${right ? '' : `: ${JSON.stringify(seen)}`}`);
}

async function provoke([name, kind, behave, due]) {
  const { code, pass, ok, kinds } = await run(kind, behave);
  const losses = Object.keys(kinds[kind].lost);
  const right = due ? code === 1 && !pass && losses.join() === due : code === 0 && pass && ok > 0 && losses.length === 0;
  report(`${name} → ${due ?? 'all well'}`, right, { code, ok, kinds });
}

for (let at = 0; at < CASES.length; at += AT_ONCE) await Promise.all(CASES.slice(at, at + AT_ONCE).map(provoke));
const seen = new Set(CASES.map(([, , , due]) => due));
report('every loss has been provoked', Object.keys(LOSSES).every((loss) => seen.has(loss)), Object.keys(LOSSES));

let answers = 0;
const backAndForth = (socket) => {
  const version = `v${(answers += 1) % 2}`;
  socket.write(answer(`${version}\n`, version));
};
const counted = await run('fresh', backAndForth);
report('stale answers are counted', counted.code === 0 && counted.stale.answers > 0 && counted.versions.length === 2, counted);
const refused = await run('fresh', backAndForth, { 'stale-ms': 0 });
report('stale answers fail the run where that is asked for', refused.code === 1 && refused.lost === 0, refused);

const directory = mkdtempSync(join(tmpdir(), 'load-'));
const overUnix = await run('fresh', says(answer('v1\n')), {}, join(directory, 's'));
rmSync(directory, { recursive: true });
report('a UNIX socket is a target too', overUnix.pass, overUnix);

process.exit(wrong ? 1 : 0);
