// Programs, HTTP, time, tables.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Runs a program; throws with its words if it fails and `check` is not off. */
export async function run([program, ...args], { cwd, env, check = true } = {}) {
  const child = spawn(program, args, { cwd, env: env ?? process.env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text) => { stdout += text; });
  child.stderr.on('data', (text) => { stderr += text; });
  const [code] = await once(child, 'close');
  if (check && code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
  return { code, stdout, stderr };
}

export async function until(what, holds, seconds = 120) {
  const deadline = performance.now() + seconds * 1000;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`waited ${seconds} s in vain: ${what}`);
    await sleep(20);
  }
}

/** One GET / on a new connection; null where there is no answer. */
export function ask(target) {
  return new Promise((resolve) => {
    request({ ...target, path: '/', agent: false }, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (part) => { text += part; });
      res.on('end', () => resolve({ status: res.statusCode, text })).on('error', () => resolve(null));
    }).on('error', () => resolve(null)).end();
  });
}

/** Until the app there answers with this version; throws where `lives` says that it never will. */
export async function answering(target, version, lives = () => true) {
  const deadline = performance.now() + 300_000;
  while (!(await ask(target))?.text.includes(version)) {
    if (!lives()) throw new Error('the app has ended');
    if (performance.now() > deadline) throw new Error(`waited 300 s in vain for ${version}`);
    await sleep(5);
  }
}

/** An environment without what npm would show or ask of people, and Next.js report. */
export const quiet = (env) => ({ ...env, CI: 'true', NEXT_TELEMETRY_DISABLED: '1' });

export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  await new Promise((resolve) => { server.close(resolve); });
  return port;
}

/** Milliseconds that `work` takes. */
export async function timed(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

export const median = (numbers) => {
  const sorted = numbers.filter((n) => n !== undefined).sort((a, b) => a - b);
  if (!sorted.length) return null;
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
};

export function table(title, head, rows) {
  const cells = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  const lines = cells.map((row) => row.map((cell, column) => (column ? cell.padStart(widths[column]) : cell.padEnd(widths[column]))).join('  '));
  return ['', title, '', lines[0], widths.map((width) => '-'.repeat(width)).join('  '), ...lines.slice(1)].join('\n');
}
