// handover, as installed for its users: `git push` over a local path, answers through its front.
import { join } from 'node:path';
import { Project } from '../project.mjs';
import { answering, ask, run, timed, until } from '../tools.mjs';

export class Handover {
  name = 'handover';

  /** `rested`: the measured push comes when the server is at rest; else at once after another, whose tree is not stored yet. */
  constructor(directory, installation, { rested }) {
    Object.assign(this, { directory, installation, rested });
    if (!rested) this.name = 'handover, at once';
  }

  async app(fixture, short) {
    const { installation, rested } = this;
    const name = rested ? short : `${short}-at-once`;
    const project = await Project.of(fixture, join(this.directory, name));
    const remote = await installation.create(name);
    const { socket } = await installation.status(name);
    let pushed = false;
    const push = async () => {
      pushed = true;
      const total = await timed(async () => {
        await project.git('push', '-q', remote, 'HEAD:refs/heads/main');
        await answering({ socketPath: socket }, project.version);
      });
      return { total, parts: phases(await installation.lastDeploy(name)) };
    };
    const prepare = async (change) => {
      if (rested || change === 'first') return;
      await project.commit('lockfile');
      await push();
    };
    return {
      project,
      prepare,
      push,
      rest: async () => { if (pushed) await installation.atRest(name); },
      healthToAnswer: () => healthToAnswer({ installation, name, project, socket, remote }),
      drop: async () => {
        await installation.handover(['app', 'destroy', name, '--yes']);
        await run(['rm', '-rf', project.directory]);
      },
    };
  }

  async stop() {}
}

function phases(events) {
  if (!events.some(({ event }) => event === 'live')) throw new Error(`not live:\n${JSON.stringify(events.at(-1))}`);
  return Object.fromEntries(events.filter(({ event }) => event === 'done').map(({ phase, took_ms }) => [phase, took_ms]));
}

/** From `health: done` in the deploy's record to the first answer of the new version on the live socket. */
async function healthToAnswer({ installation, name, project, socket, remote }) {
  await installation.atRest(name);
  let first = null;
  let done = false;
  const client = (async () => {
    while (first === null && !done) {
      const answer = await ask({ socketPath: socket });
      if (answer?.text.includes(project.version)) first = performance.timeOrigin + performance.now();
    }
  })();
  let events;
  try {
    await project.git('push', '-q', remote, 'HEAD:refs/heads/main');
    await until('the new version answers', () => first !== null, 10);
    events = await installation.lastDeploy(name);
  } finally {
    done = true;
    await client;
  }
  const health = events.find(({ event, phase }) => event === 'done' && phase === 'health');
  return first - milliseconds(health.at);
}

/** RFC 3339 with its nanoseconds, as milliseconds since 1970. */
function milliseconds(at) {
  const [, whole, fraction = ''] = /^(.*?)(\.\d+)?Z$/.exec(at);
  return Date.parse(`${whole}Z`) + Number(`0${fraction}`) * 1000;
}
