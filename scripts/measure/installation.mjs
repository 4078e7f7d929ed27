// A handover of its own in a temporary directory, on a free port.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, run, until } from './tools.mjs';

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

  /** A new app; gives the URL to push to. */
  async create(app) {
    const { stdout } = await this.handover(['app', 'create', app]);
    return stdout.trim().split('\n').at(-1);
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

  /** Until nothing is left of earlier versions and the next tree is laid out, so that they take no time from what is measured next. */
  async atRest(app) {
    await until('drained', async () => (await this.status(app)).draining.length === 0);
    await until('a tree in readiness', async () => {
      const { stdout } = await this.handover(['store', 'list', app, '--json']);
      return JSON.parse(stdout).trees[0]?.ready;
    });
  }
}
