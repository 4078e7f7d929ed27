// Children that do what they can to outlive their build. Each writes its pid into `pids`.

const { spawn } = require('node:child_process');
const { join } = require('node:path');

exports.startFamily = (doors) => {
  const pids = join(doors, 'pids');
  const run = (script, options) => {
    spawn('sh', ['-c', script], { stdio: 'ignore', ...options }).unref();
  };
  run(`echo $$ >> ${pids}; exec sleep 1000`);
  run(`echo $$ >> ${pids}; sleep 1000 & echo $! >> ${pids}; wait`);
  run(`trap '' TERM HUP INT; echo $$ >> ${pids}; exec nohup setsid sleep 1000`);
  run(`echo $$ >> ${pids}; exec sleep 1000`, { cwd: '/', detached: true });
};
