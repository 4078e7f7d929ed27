// Resident memory of handover's own processes at rest.
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { Project } from './project.mjs';
import { table, until } from './tools.mjs';

const GOALS_MB = { serve: 25, keep: 5, front: 15 };
const SAME_READINGS = 4;

export async function measureMemory(installation) {
  const project = await Project.of('express4', join(installation.directory, 'memory'));
  const remote = await installation.create(project.name);
  await project.commit('code');
  await project.git('push', '-q', remote, 'HEAD:refs/heads/main');
  await installation.atRest(project.name);
  return Promise.all(Object.entries(GOALS_MB).map(async ([role, goal]) => ({ role, goal_mb: goal, ...(await atRest(role, processOf(installation, role, project.name))) })));
}

/** The process of a role: it has our directory in its arguments. */
function processOf(installation, role, app) {
  const mine = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid)).map((pid) => ({ pid, argv: argvOf(pid) }))
    .filter(({ argv }) => argv.includes(role) && argv.some((word) => word.startsWith(installation.home)))
    .filter(({ argv }) => role !== 'keep' || argv.some((word) => word.includes(`/${app}/`)));
  if (mine.length !== 1) throw new Error(`${mine.length} processes are \`${role}\`, not one`);
  return mine[0].pid;
}

function argvOf(pid) {
  try { return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0'); } catch { return []; }
}

/** At rest: the same reading several times in a row. */
async function atRest(role, pid) {
  let last = reading(pid);
  let same = 0;
  await until(`${role} at rest`, async () => {
    await sleep(250);
    const now = reading(pid);
    same = now.rss_kb === last.rss_kb ? same + 1 : 0;
    last = now;
    return same >= SAME_READINGS;
  });
  return last;
}

function reading(pid) {
  const kb = (file, name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/${file}`, 'utf8'))[1]);
  return { rss_kb: kb('status', 'VmRSS'), pss_kb: kb('smaps_rollup', 'Pss') };
}

export function memoryTable(rows) {
  const mb = (kb) => (kb / 1024).toFixed(1);
  return table('resident memory at rest, MB', ['process', 'VmRSS', 'Pss', 'goal'], rows.map(({ role, rss_kb, pss_kb, goal_mb }) => [role, mb(rss_kb), mb(pss_kb), goal_mb]));
}
