// The least that has to be done: a push to a repository without hooks, `npm ci` where the lockfile has changed, the app's
// own build if it has one, and its start until the first answer.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Project } from '../project.mjs';
import { answering, freePort, quiet, run, timed } from '../tools.mjs';

/** What handover calls, in a directory where nothing is installed. */
export const NPM_CI = ['npm', 'ci', '--no-audit', '--no-fund', '--prefer-offline'];

export class Floor {
  name = 'floor';

  constructor(directory) { this.directory = directory; }

  async app(fixture, name) {
    const project = await Project.of(fixture, join(this.directory, `floor-${name}`));
    const bare = `${project.directory}.git`;
    await run(['git', 'init', '-q', '--bare', bare]);
    const checkout = `${project.directory}-checkout`;
    const environment = { ...process.env, npm_config_cache: `${project.directory}-npm` };
    return {
      project,
      push: async (change) => {
        const parts = { git: await timed(() => project.git('push', '-q', bare, 'HEAD:refs/heads/main')) };
        if (change === 'first') await run(['git', 'clone', '-q', '--branch', 'main', bare, checkout]);
        else await run(['git', '-C', checkout, 'pull', '-q', '--ff-only']);
        if (change !== 'code') {
          await run(['rm', '-rf', join(checkout, 'node_modules')]);
          parts.install = await timed(() => run(NPM_CI, { cwd: checkout, env: environment }));
        }
        const { build } = project.manifest.scripts;
        if (build) parts.build = await timed(() => run(['npm', 'run', 'build'], { cwd: checkout, env: quiet(environment) }));
        parts.start = await firstAnswer(project, checkout, environment);
        return { total: Object.values(parts).reduce((sum, part) => sum + part, 0), parts };
      },
      drop: () => run(['rm', '-rf', bare, checkout, project.directory, environment.npm_config_cache]),
    };
  }

  async stop() {}
}

async function firstAnswer(project, cwd, environment) {
  const port = await freePort();
  const [program, ...args] = project.manifest.scripts.start.split(' ');
  const env = { ...quiet(environment), PORT: String(port), NODE_ENV: 'production', PATH: `${join(cwd, 'node_modules/.bin')}:${process.env.PATH}` };
  let app;
  const took = await timed(async () => {
    app = spawn(program, args, { cwd, env, stdio: 'ignore', detached: true });
    await answering({ host: '127.0.0.1', port }, project.version, () => app.exitCode === null);
  });
  process.kill(-app.pid, 'SIGKILL');
  await once(app, 'exit');
  return took;
}
