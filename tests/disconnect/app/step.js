// A step of the build: `node step.js install`.

const { pass, plan } = require('./doors.js');
const { startFamily } = require('./family.js');

const step = process.argv[2];
const mine = plan.stop === step;

if (mine && plan.family) startFamily(plan.doors);
pass(step, () => {
  if (!mine) return;
  for (let n = 0; n < (plan.lines ?? 0); n++) console.log(`${n} `.padEnd(100, '.'));
  if (plan.fails) {
    console.log('this step fails');
    process.exitCode = 7;
  }
});
