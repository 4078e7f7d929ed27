// A handover of its own in a temporary directory, on a free port.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, openSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, run, until } from './tools.mjs';

const APPS = fileURLToPath(new URL('../../tests/apps/', import.meta.url));
const BINARY = process.env.HANDOVER_BIN;

export class Installation {
  static async start() {
    const it = new Installation();
    it.directory = mkdtempSync(join(tmpdir(), 'hb-')); // short: sockets lie below
    it.home = join(it.directory, 'h');
    it.port = await freePort();
    const log = openSync(join(it.directory, 'serve.log'), 'a');
    it.server = spawn(BINARY, ['--home', it.home, 'serve', '--listen', `127.0.0.1:${it.port}`], { stdio: ['ignore', log, log], detached: true });
    it.ended = once(it.server, 'exit');
    await until('handover answers', async () => {
      if (it.server.exitCode !== null) throw new Error(`handover ended: ${readFileSync(join(it.directory, 'serve.log'), 'utf8')}`);
      return (await it.handover(['status'], { check: false })).code === 0;
    });
    return it;
  }

  /** Stops apps, front and server, and removes everything. */
  async stop() {
    if (this.server.exitCode === null && this.server.signalCode === null) this.server.kill('SIGINT');
    await this.ended;
    await run(['rm', '-rf', this.directory]);
  }

  handover(args, options) { return run([BINARY, '--home', this.home, ...args], options); }

  async status(app) { return JSON.parse((await this.handover(['status', app, '--json'])).stdout).apps[0]; }

  /** An app of handover's, with a working repository of a fixture. */
  async app(fixture, name) {
    const work = join(this.directory, name);
    cpSync(join(APPS, fixture), work, { recursive: true });
    const git = (...args) => run(['git', '-C', work, '-c', 'user.name=bench', '-c', 'user.email=bench@localhost', ...args]);
    await git('-c', 'init.defaultBranch=main', 'init', '-q');
    const { stdout } = await this.handover(['app', 'create', name]);
    return { name, work, git, remote: stdout.trim().split('\n').at(-1) };
  }

  /** The events of the app's last deploy. */
  async lastDeploy(app) {
    for (let n = (this.deploys ??= {})[app] ?? 1; ; n += 1) {
      const { code, stdout } = await this.handover(['logs', app, '--deploy', String(n), '--json'], { check: false });
      if (code !== 0 || !stdout.trim()) throw new Error(`no record of deploy ${n} of ${app}`);
      this.deploys[app] = n + 1;
      return stdout.trim().split('\n').map((line) => JSON.parse(line));
    }
  }

  /** Until nothing is left of earlier versions, so that they take no time from what is measured next. */
  async settled(app) {
    await until('drained', async () => (await this.status(app)).draining.length === 0);
  }
}
