// scripts/bench: reads the arguments, measures, prints.
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { Floor } from './contenders/floor.mjs';
import { Handover } from './contenders/handover.mjs';
import { Hook } from './contenders/hook.mjs';
import { Piku } from './contenders/piku.mjs';
import { Installation } from './installation.mjs';
import { Installers } from './installers.mjs';
import { measureMemory, memoryTable } from './memory.mjs';
import { measurePush, pushTables } from './push.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: 'string' }, 'heavy-runs': { type: 'string' }, app: { type: 'string' }, json: { type: 'string' } },
});
const what = positionals[0] ?? 'all';
if (!['push', 'memory', 'all'].includes(what)) {
  console.error('scripts/bench push, memory or all; see --help');
  process.exit(2);
}
const runs = Number(values.runs ?? 5);
const heavyRuns = Number(values['heavy-runs'] ?? 3);
const apps = [
  { name: 'express4', runs, firsts: Math.min(runs, 3) },
  { name: 'heavy', runs: heavyRuns, firsts: 1 },
  { name: 'next', runs: heavyRuns, firsts: 1 },
].filter((app) => app.runs > 0 && (!values.app || values.app === app.name));

const installation = await Installation.start();
const started = [];
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => stop().then(() => process.exit(130)));
try {
  const result = { machine: machine(), load_average: loadavg()[0] };
  console.log(`${result.machine}, load average ${result.load_average.toFixed(1)} at the start`);
  if (what !== 'memory') {
    result.push = [];
    const installers = await Installers.fetched(installation.directory);
    const contenders = await allContenders();
    for (const app of apps) {
      const measured = await measurePush(contenders, installers, app);
      result.push.push(measured);
      console.log(pushTables(measured));
    }
  }
  if (what !== 'push') {
    result.memory = await measureMemory(installation);
    console.log(memoryTable(result.memory));
  }
  if (values.json) writeFileSync(values.json, `${JSON.stringify(result, null, 1)}\n`);
} finally {
  await stop();
}

async function allContenders() {
  const { directory } = installation;
  started.push(new Floor(directory), new Handover(directory, installation, { rested: true }), new Handover(directory, installation, { rested: false }), new Hook(directory));
  try {
    started.push(await Piku.start(directory, process.env.PIKU));
  } catch (error) {
    console.log(`left out: Piku: ${error.message}`);
  }
  return started;
}

async function stop() {
  for (const one of started) await one.stop();
  await installation.stop();
}

function machine() {
  const cores = cpus();
  return `${cores.length} × ${cores[0].model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GB, Linux ${release()}, node ${process.version}`;
}
