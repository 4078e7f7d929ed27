// Piku, unchanged, in a directory of its own: its emperor (uwsgi) runs the apps, each on a port, without nginx.
// It does not read the lockfile (`npm install --package-lock=false`), and installs only where package.json is newer than
// node_modules; without a `release` process it would build nothing. It keeps node_modules outside of the app, behind a
// symlink, which Turbopack refuses: Next.js is built with webpack there.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, existsSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { Project } from '../project.mjs';
import { answering, freePort, quiet, run, timed } from '../tools.mjs';

export class Piku {
  name = 'Piku';

  /** Throws, with what is missing, where it can't run. `script`: the path of piku.py. */
  static async start(directory, script) {
    if (!script || !existsSync(script)) throw new Error('PIKU does not name a piku.py (git clone https://github.com/piku/piku)');
    const it = new Piku();
    it.directory = join(directory, 'piku');
    it.script = join(it.directory, 'piku.py');
    mkdirSync(it.directory);
    copyFileSync(script, it.script);
    chmodSync(it.script, 0o755);
    it.env = { ...quiet(process.env), USER: userInfo().username, HOME: it.directory, PIKU_ROOT: join(it.directory, '.piku') };
    try {
      await run([it.script, 'setup'], { env: it.env });
      await run(['uwsgi', '--version']);
    } catch (error) {
      throw new Error(`it needs uwsgi and click (apt-get install uwsgi-core python3-click): ${error.message}`, { cause: error });
    }
    // Instead of sshd: what it would run for a push.
    const shell = join(it.directory, 'shell');
    writeFileSync(shell, `#!/bin/sh\nshift\neval "set -- $*"\nexec ${it.script} "$@"\n`);
    chmodSync(shell, 0o755);
    it.env.GIT_SSH_COMMAND = shell;
    it.env.GIT_SSH_VARIANT = 'simple';
    const log = openSync(join(it.directory, 'log'), 'a');
    it.emperor = spawn('uwsgi', ['--ini', join(it.env.PIKU_ROOT, 'uwsgi/uwsgi.ini'), '--die-on-term'], { env: it.env, stdio: ['ignore', log, log], detached: true });
    it.emperor.on('error', () => {});
    it.ended = once(it.emperor, 'exit');
    return it;
  }

  async app(fixture, name) {
    const port = await freePort();
    const project = await Project.of(fixture, join(this.directory, `work-${name}`), {});
    const { start, build } = project.manifest.scripts;
    const ofNext = (command) => command.replace(/^next/, './node_modules/.bin/next').replace(/next build$/, '$& --webpack');
    const procfile = [`web: ${ofNext(start)}`, build ? `release: ${ofNext(build)}` : ''].filter(Boolean);
    writeFileSync(join(project.directory, 'Procfile'), `${procfile.join('\n')}\n`);
    const settings = { ...network(), PORT: port, NODE_ENV: 'production' };
    writeFileSync(join(project.directory, 'ENV'), Object.entries(settings).map(([key, value]) => `${key}=${value}\n`).join(''));
    return {
      project,
      push: async () => ({
        total: await timed(async () => {
          await run(['git', '-C', project.directory, 'push', '-q', `piku@localhost:${name}`, 'HEAD:refs/heads/master'], { env: this.env });
          await answering({ host: '127.0.0.1', port }, project.version);
        }),
      }),
      drop: async () => {
        await run([this.script, 'destroy', name], { env: this.env });
        await run(['rm', '-rf', project.directory, join(this.directory, '.npm')]);
      },
    };
  }

  /** The emperor ends what it has started. */
  async stop() {
    if (this.emperor.exitCode === null) this.emperor.kill('SIGTERM');
    await this.ended;
  }
}

/** How this machine reaches the registry: npm gets nothing of Piku's own environment. */
const network = () => Object.fromEntries(Object.entries(process.env).filter(([key]) => /^(node_extra_ca_certs|https?_proxy|no_proxy|npm_config_registry)$/i.test(key)));
