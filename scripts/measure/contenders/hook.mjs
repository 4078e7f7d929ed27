// A post-receive hook as it is found in a hundred tutorials: checks out over the running app, `npm ci`, restarts it.
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Project } from '../project.mjs';
import { answering, freePort, quiet, run, timed, until } from '../tools.mjs';

const HOOK = `#!/bin/sh
set -e
unset GIT_DIR
mkdir -p "$BENCH_TREE"
git --git-dir=. --work-tree="$BENCH_TREE" checkout -q -f main
cd "$BENCH_TREE"
npm ci
npm run build --if-present
if [ -f ../pid ]; then kill -- "-$(cat ../pid)" || true; fi
NODE_ENV=production setsid npm start </dev/null >>../app.log 2>&1 &
echo $! >../pid
`;

export class Hook {
  name = 'hook with npm ci';

  constructor(directory) { this.directory = directory; }

  async app(fixture, name) {
    const root = join(this.directory, `hook-${name}`);
    await run(['mkdir', root]);
    const project = await Project.of(fixture, join(root, 'work'));
    const bare = join(root, 'repository.git');
    await run(['git', 'init', '-q', '--bare', bare]);
    writeFileSync(join(bare, 'hooks/post-receive'), HOOK);
    chmodSync(join(bare, 'hooks/post-receive'), 0o755);
    const port = await freePort();
    const env = { ...quiet(process.env), BENCH_TREE: join(root, 'app'), PORT: String(port), npm_config_cache: join(root, 'npm') };
    const target = { host: '127.0.0.1', port };
    return {
      project,
      push: async () => ({
        total: await timed(async () => {
          await run(['git', '-C', project.directory, 'push', '-q', bare, 'HEAD:refs/heads/main'], { env });
          await answering(target, project.version);
        }),
      }),
      drop: async () => {
        const pid = join(root, 'pid');
        if (existsSync(pid)) {
          const group = -Number(readFileSync(pid, 'utf8'));
          process.kill(group, 'SIGKILL');
          await until('the app of the hook has ended', () => { try { process.kill(group, 0); return false; } catch { return true; } }, 10);
        }
        await run(['rm', '-rf', root]);
      },
    };
  }

  async stop() {}
}
