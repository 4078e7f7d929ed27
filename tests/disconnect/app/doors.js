// Where a deploy of this app stops, until the test opens the doors.

const { existsSync, readFileSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');

const plan = JSON.parse(readFileSync(join(__dirname, 'plan.json'), 'utf8'));

exports.plan = plan;
exports.stopsAt = (step) => plan.stop === step && !existsSync(join(plan.doors, 'go'));
exports.arrive = () => writeFileSync(join(plan.doors, 'at'), '');

/** Says that the step is reached, and waits. */
exports.pass = (step, then) => {
  if (!exports.stopsAt(step)) return then();
  exports.arrive();
  const timer = setInterval(() => {
    if (exports.stopsAt(step)) return;
    clearInterval(timer);
    then();
  }, 20);
};
