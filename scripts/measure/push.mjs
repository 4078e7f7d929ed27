// What a push costs, against the floor; see scripts/bench for the method.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask, freePort, median, run, table, timed, until } from './tools.mjs';

const CHANGES = ['code', 'lockfile'];
const NPM_CI = ['npm', 'ci', '--no-audit', '--no-fund', '--prefer-offline'];
const PHASES = ['receive', 'checkout', 'install', 'build', 'start', 'health', 'swap'];

export async function measurePush(installation, { name: fixture, runs }) {
  const app = await installation.app(fixture, fixture);
  const floor = { bare: join(installation.directory, `${fixture}.git`), cache: join(installation.directory, `${fixture}-npm`) };
  await run(['git', 'init', '-q', '--bare', floor.bare]);
  const measured = { app: fixture, runs, changes: {} };
  await commit(app, 'lockfile');
  process.stderr.write(`${fixture}: warming up\n`);
  await onePush(installation, app);
  await oneFloor(installation, app, floor);
  for (const change of CHANGES) {
    const rounds = [];
    for (let n = 1; n <= runs; n += 1) {
      process.stderr.write(`${fixture}: ${change}, run ${n} of ${runs}\n`);
      await commit(app, change);
      rounds.push({ floor: await oneFloor(installation, app, floor), push: await onePush(installation, app) });
    }
    measured.changes[change] = summed(rounds);
  }
  const gaps = [];
  for (let n = 1; n <= runs; n += 1) {
    process.stderr.write(`${fixture}: swap, run ${n} of ${runs}\n`);
    await commit(app, 'code');
    gaps.push(await healthToAnswer(installation, app));
  }
  measured.health_to_answer_ms = { median: median(gaps), all: gaps };
  return measured;
}

let serial = 0;
async function commit(app, change) {
  serial += 1;
  app.version = `v${serial}`;
  writeFileSync(join(app.work, 'VERSION'), `${app.version}\n`);
  if (change === 'lockfile') {
    for (const file of ['package.json', 'package-lock.json']) {
      const path = join(app.work, file);
      const json = JSON.parse(readFileSync(path, 'utf8'));
      json.version = `1.0.${serial}`;
      if (json.packages) json.packages[''].version = json.version;
      writeFileSync(path, `${JSON.stringify(json, null, 2)}\n`);
    }
  }
  await app.git('add', '-A');
  await app.git('commit', '-qm', `${change} ${serial}`);
}

async function oneFloor(installation, app, floor) {
  const checkout = join(installation.directory, 'checkout');
  const push = await timed(() => app.git('push', '-q', floor.bare, 'HEAD:refs/heads/main'));
  await run(['git', 'clone', '-q', '--branch', 'main', floor.bare, checkout]);
  const install = await timed(() => run([...NPM_CI, '--cache', floor.cache], { cwd: checkout }));
  const start = await firstAnswer(checkout);
  await run(['rm', '-rf', checkout]);
  return { push, install, start, total: push + install + start };
}

/** From node's start to its first answer. */
async function firstAnswer(cwd) {
  const port = await freePort();
  let node;
  const took = await timed(async () => {
    node = spawn(process.execPath, ['server.js'], { cwd, env: { ...process.env, PORT: String(port), NODE_ENV: 'production' }, stdio: 'ignore' });
    while (!(await ask({ host: '127.0.0.1', port }))) if (node.exitCode !== null) throw new Error('node has ended');
  });
  node.kill('SIGKILL');
  await once(node, 'exit');
  return took;
}

async function onePush(installation, app) {
  await installation.settled(app.name);
  const total = await timed(() => app.git('push', '-q', app.remote, 'HEAD:refs/heads/main'));
  const events = await installation.lastDeploy(app.name);
  if (!events.some(({ event }) => event === 'live')) throw new Error(`not live:\n${JSON.stringify(events.at(-1))}`);
  const phases = Object.fromEntries(events.filter(({ event }) => event === 'done').map(({ phase, took_ms }) => [phase, took_ms]));
  await installation.settled(app.name);
  return { total, phases };
}

/** From `health: done` in the deploy's record to the first answer of the new version on the live socket. */
async function healthToAnswer(installation, app) {
  await installation.settled(app.name);
  const { socket } = await installation.status(app.name);
  let first = null;
  let done = false;
  const client = (async () => {
    while (first === null && !done) {
      const answer = await ask({ socketPath: socket });
      if (answer?.version === app.version) first = performance.timeOrigin + performance.now();
    }
  })();
  await app.git('push', '-q', app.remote, 'HEAD:refs/heads/main');
  await until('the new version answers', () => first !== null, 10).finally(() => { done = true; });
  await client;
  const events = await installation.lastDeploy(app.name);
  const health = events.find(({ event, phase }) => event === 'done' && phase === 'health');
  return first - milliseconds(health.at);
}

/** RFC 3339 with its nanoseconds, as milliseconds since 1970. */
function milliseconds(at) {
  const [, whole, fraction = ''] = /^(.*?)(\.\d+)?Z$/.exec(at);
  return Date.parse(`${whole}Z`) + Number(`0${fraction}`) * 1000;
}

function summed(rounds) {
  const over = (pick) => median(rounds.map(pick));
  const phases = Object.fromEntries(PHASES.map((phase) => [phase, over(({ push }) => push.phases[phase])]).filter(([, ms]) => ms !== null));
  return {
    floor_ms: { push: over((r) => r.floor.push), install: over((r) => r.floor.install), start: over((r) => r.floor.start), total: over((r) => r.floor.total) },
    push_ms: over((r) => r.push.total),
    phases_ms: phases,
    other_ms: over(({ push }) => push.total - PHASES.reduce((sum, phase) => sum + (push.phases[phase] ?? 0), 0)),
    on_top_ms: over((r) => r.push.total - r.floor.total),
    rounds,
  };
}

export function pushTables({ app, runs, changes, health_to_answer_ms }) {
  const ms = (n) => (n === undefined || n === null ? '' : n.toFixed(Math.abs(n) < 10 ? 1 : 0));
  const columns = CHANGES.map((change) => changes[change]);
  const row = (name, pick) => [name, ...columns.flatMap((column) => pick(column).map(ms))];
  const rows = [
    row('git (floor: bare push)', (c) => [c.floor_ms.push, c.other_ms]),
    ...PHASES.filter((phase) => columns.some((c) => phase in c.phases_ms)).map((phase) => row(
      { install: 'install (floor: npm ci)', start: 'start (floor: node, first answer)' }[phase] ?? phase,
      (c) => [c.floor_ms[phase === 'push' ? '' : phase], c.phases_ms[phase]],
    )),
    row('whole', (c) => [c.floor_ms.total, c.push_ms]),
    row('on top of the floor', (c) => [null, c.on_top_ms]),
  ];
  return [
    table(`${app}: milliseconds, medians of ${runs} runs`, ['', ...CHANGES.flatMap((change) => [`${change}: floor`, 'handover'])], rows),
    `health check passed → first answer of the new version: ${ms(health_to_answer_ms.median)} ms`,
  ].join('\n\n');
}
