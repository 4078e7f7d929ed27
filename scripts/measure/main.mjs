// scripts/bench: reads the arguments, measures, prints.
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { Installation } from './installation.mjs';
import { measureMemory, memoryTable } from './memory.mjs';
import { measurePush, pushTables } from './push.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: 'string' }, 'heavy-runs': { type: 'string' }, json: { type: 'string' } },
});
const what = positionals[0] ?? 'all';
if (!['push', 'memory', 'all'].includes(what)) {
  console.error('scripts/bench push, memory or all; see --help');
  process.exit(2);
}
const apps = [
  { name: 'express4', runs: Number(values.runs ?? 5) },
  { name: 'heavy', runs: Number(values['heavy-runs'] ?? 3) },
].filter(({ runs }) => runs > 0);

const installation = await Installation.start();
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => installation.stop().then(() => process.exit(130)));
try {
  const result = { machine: machine(), load_average: loadavg()[0] };
  console.log(`${result.machine}, load average ${result.load_average.toFixed(1)} at the start`);
  if (what !== 'memory') {
    result.push = [];
    for (const app of apps) {
      const measured = await measurePush(installation, app);
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
  await installation.stop();
}

function machine() {
  const cores = cpus();
  return `${cores.length} × ${cores[0].model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GB, Linux ${release()}, node ${process.version}`;
}
