// What a push costs: handover beside its peers and beside the floor; see scripts/bench for the method.
import { loadavg } from 'node:os';
import { median, table } from './tools.mjs';

export const CHANGES = ['first', 'code', 'lockfile'];
const TITLES = { first: 'first push', code: 'unchanged lockfile', lockfile: 'changed lockfile' };
const PHASES = ['receive', 'checkout', 'install', 'build', 'start', 'health', 'swap'];

/**
 * One app by all contenders, who take turns: first pushes of new apps, then pushes of the last of these.
 * `runs`: pushes of each kind; `firsts`: of first ones.
 */
export async function measurePush(contenders, installers, { name: fixture, runs, firsts }) {
  const measured = { app: fixture, runs, firsts, load_average: loadavg()[0], pushes: {}, installs: [], health_to_answer_ms: [] };
  const apps = new Map();
  const push = async (contender, change, n, of) => {
    process.stderr.write(`${fixture}: ${contender.name}, ${TITLES[change]}, run ${n} of ${of}\n`);
    const app = apps.get(contender);
    await rest();
    await app.prepare?.(change);
    await app.project.commit(change);
    const took = await app.push(change);
    ((measured.pushes[contender.name] ??= {})[change] ??= []).push(took);
  };
  for (let n = 1; n <= firsts; n += 1) {
    for (const contender of contenders) {
      await apps.get(contender)?.drop();
      apps.set(contender, await contender.app(fixture, `${fixture}-${n}`));
      await push(contender, 'first', n, firsts);
    }
  }
  const [{ project }] = apps.values();
  for (const change of ['code', 'lockfile']) {
    for (let n = 1; n <= runs; n += 1) {
      for (const contender of contenders) await push(contender, change, n, runs);
      if (change === 'lockfile') await installs(n);
    }
  }
  // What a server does after a deploy takes no time from another contender.
  async function rest() {
    for (const app of apps.values()) await app.rest?.();
  }
  async function installs(n) {
    await rest();
    process.stderr.write(`${fixture}: installs alone, run ${n} of ${runs}\n`);
    if (n === 1) await installers.round(project);
    measured.installs.push(await installers.round(project));
  }
  const [ours] = [...apps].filter(([contender]) => contender.name === 'handover').map(([, app]) => app);
  for (let n = 1; n <= runs; n += 1) {
    process.stderr.write(`${fixture}: swap, run ${n} of ${runs}\n`);
    await ours.project.commit('code');
    measured.health_to_answer_ms.push(await ours.healthToAnswer());
  }
  for (const app of apps.values()) await app.drop();
  return measured;
}

export function pushTables({ app, runs, firsts, load_average, pushes, installs, health_to_answer_ms }) {
  const totals = (name, change) => (pushes[name]?.[change] ?? []).map(({ total }) => total);
  const ours = (change) => totals('handover', change);
  const names = Object.keys(pushes);
  const heads = CHANGES.map((change) => TITLES[change]);
  const cell = (name, change) => ms(median(totals(name, change)));
  const ratio = (name, change) => `${median(paired(totals(name, change), ours(change), (other, own) => other / own)).toFixed(2)} ×`;
  return [
    table(
      `${app}: push → first answer of the new version, ms; medians of ${runs} runs (${firsts} of first pushes), load average ${load_average.toFixed(1)}`,
      ['', ...heads],
      names.map((name) => [name, ...CHANGES.map((change) => cell(name, change))]),
    ),
    table('as many times as handover takes; medians of the runs', ['', ...heads], names.filter((name) => name !== 'handover').map((name) => [name, ...CHANGES.map((change) => ratio(name, change))])),
    table('handover on top of the floor, ms', ['', ...heads], [['', ...CHANGES.map((change) => ms(median(paired(ours(change), totals('floor', change), (own, floor) => own - floor))))]]),
    phaseTable(pushes),
    installTable(pushes, installs),
    `health check passed → first answer of the new version: ${ms(median(health_to_answer_ms))} ms`,
  ].join('\n\n');
}

/** handover's phases beside the parts of the floor. */
function phaseTable(pushes) {
  const part = (name, change, phase) => ms(median(pushes[name][change].map(({ parts }) => parts[phase])));
  const beside = { install: 'install', build: 'build', start: 'start' };
  const other = (change) => ms(median(pushes.handover[change].map(({ total, parts }) => total - PHASES.reduce((sum, phase) => sum + (parts[phase] ?? 0), 0))));
  return table(
    'in which phases, ms (beside the floor: push, npm ci, build, start to the first answer)',
    ['', ...CHANGES.flatMap((change) => [TITLES[change], 'floor'])],
    [
      ['git, hook, queue', ...CHANGES.flatMap((change) => [other(change), part('floor', change, 'git')])],
      ...PHASES.filter((phase) => CHANGES.some((change) => pushes.handover[change].some(({ parts }) => phase in parts))).map((phase) => [phase, ...CHANGES.flatMap((change) => [part('handover', change, phase), phase in beside ? part('floor', change, phase) : ''])]),
    ],
  );
}

function installTable(pushes, installs) {
  const ours = (change) => pushes.handover[change].map(({ parts }) => parts.install);
  const npm = installs.map((round) => round['npm ci']);
  const rows = [
    ...Object.keys(installs[0]).map((name) => [name, installs.map((round) => round[name])]),
    ['handover, install phase, changed lockfile', ours('lockfile')],
    ['handover, install phase, unchanged lockfile', ours('code')],
  ];
  return table(
    'installs alone, each with a warm cache, ms; and as many times as `npm ci`',
    ['', 'ms', 'npm ci'],
    rows.map(([name, took]) => [name, ms(median(took)), `${(median(paired(took, npm, (one, other) => one / other))).toFixed(3)} ×`]),
  );
}

/** Of the same runs. */
const paired = (some, others, of) => some.map((one, n) => (others[n] === undefined ? undefined : of(one, others[n])));
const ms = (n) => (n === undefined || n === null ? '' : n.toFixed(Math.abs(n) < 10 ? 1 : 0));
