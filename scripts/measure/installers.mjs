// Installs alone, without a push and an app: each of the same project, frozen, with a warm cache of its own, into a
// directory where nothing is installed.
import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { NPM_CI } from './contenders/floor.mjs';
import { run, timed } from './tools.mjs';

export class Installers {
  /** Fetches pnpm and bun from the npm registry into `directory`. */
  static async fetched(directory) {
    const it = new Installers();
    it.directory = directory;
    const tools = join(directory, 'tools');
    await run(['npm', 'install', '--no-audit', '--no-fund', '--prefix', tools, 'pnpm', 'bun']);
    const program = (name) => join(tools, 'node_modules/.bin', name);
    const environment = { ...process.env, npm_config_cache: join(directory, 'npm-alone'), BUN_INSTALL_CACHE_DIR: join(directory, 'bun-cache') };
    it.run = (command, cwd) => run(command, { cwd, env: environment });
    it.all = [
      { name: 'npm ci', install: NPM_CI, lock: 'package-lock.json' },
      {
        name: 'pnpm install --frozen-lockfile', import: [program('pnpm'), 'import'], lock: 'pnpm-lock.yaml',
        install: [program('pnpm'), 'install', '--frozen-lockfile', '--prefer-offline', '--store-dir', join(directory, 'pnpm-store')],
      },
      {
        name: 'bun install --frozen-lockfile', import: [program('bun'), 'install', '--lockfile-only'], lock: 'bun.lock',
        install: [program('bun'), 'install', '--frozen-lockfile'],
      },
    ];
    return it;
  }

  /** One install by each of them: name → milliseconds. The first round of a project warms the caches, and does not count. */
  async round(project) {
    const took = {};
    for (const installer of this.all) {
      const checkout = join(this.directory, 'alone');
      await run(['git', 'clone', '-q', project.directory, checkout]);
      const lock = join(this.directory, `${project.name}-${installer.lock}`);
      if (installer.import) {
        if (!existsSync(lock)) {
          await this.run(installer.import, checkout);
          cpSync(join(checkout, installer.lock), lock);
        }
        await run(['rm', '-f', join(checkout, 'package-lock.json')]);
        cpSync(lock, join(checkout, installer.lock));
        await run(['rm', '-rf', join(checkout, 'node_modules')]);
      }
      took[installer.name] = await timed(() => this.run(installer.install, checkout));
      await run(['rm', '-rf', checkout]);
    }
    return took;
  }
}
