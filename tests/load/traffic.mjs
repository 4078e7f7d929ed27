// The kinds of traffic. Each is a loop that one of its clients runs until the load ends; what it begins it finishes.
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Lost, Wire } from './wire.mjs';

const UPLOAD_STEP_MS = 50;

export const KINDS = { keepalive, fresh, poll, upload, stream, websocket };

/** GET / again and again on one connection; a connection that the server has closed between two requests is replaced. */
async function keepalive(load) {
  let wire = null;
  await load.each('keepalive', async (since) => {
    if (wire?.over) { load.tally.idle_closes += 1; wire = null; }
    try {
      wire ??= await load.open();
      const answer = await plain(load, wire, since);
      if (answer.last) { wire.close(); wire = null; }
    } catch (error) {
      wire?.close();
      wire = null;
      throw error;
    }
  });
  wire?.close();
}

/** GET / on a new connection each time. */
async function fresh(load) {
  await load.each('fresh', (since) => load.with((wire) => plain(load, wire, since)));
}

/** GET /slow: an answer that comes after seconds, so that it is under way when versions change. */
async function poll(load) {
  await load.each('poll', (since) => load.with(async (wire) => {
    wire.request('GET', `/slow?ms=${load.pollMs}`, load.host);
    names(await load.answer(wire, since));
  }));
}

/** POST /upload: a body that takes seconds to send. */
async function upload(load) {
  const steps = Math.max(1, Math.round(load.uploadMs / UPLOAD_STEP_MS));
  const piece = Buffer.alloc(Math.ceil(load.uploadBytes / steps), 'u');
  await load.each('upload', (since) => load.with(async (wire) => {
    wire.request('POST', '/upload', load.host, { 'Content-Type': 'application/octet-stream', 'Content-Length': load.uploadBytes });
    for (let left = load.uploadBytes; left > 0 && !wire.heard && !wire.over; left -= piece.length) {
      wire.write(piece.subarray(0, Math.min(left, piece.length)));
      await sleep(UPLOAD_STEP_MS);
    }
    const { body } = await load.answer(wire, since);
    if (body.toString().trim() !== String(load.uploadBytes)) throw new Lost('mangled', `${load.uploadBytes} bytes sent, answer ${show(body)}`);
  }));
}

/** GET /stream: a chunked body that takes seconds to come, all of it by one version. */
async function stream(load) {
  await load.each('stream', (since) => load.with(async (wire) => {
    wire.request('GET', `/stream?s=${load.streamMs / 1000}`, load.host);
    const { body, version } = await load.answer(wire, since);
    const lines = body.toString().split('\n');
    const end = lines.splice(-2).join('\n');
    if (end !== 'end\n' || lines.length === 0 || lines.some((line) => line !== version)) throw new Lost('mangled', `stream ${show(body)}`);
  }));
}

/** /ws: one WebSocket, an echo every now and then, open for as long as the load runs. */
async function websocket(load) {
  await load.each('websocket', (since) => load.with(async (wire) => {
    load.check(await wire.upgrade('/ws', load.host), since, 101);
    try {
      for (let n = 0; n === 0 || load.running(); n += 1) {
        const text = `echo ${n}`;
        wire.sendFrame(1, text);
        const echo = await wire.message();
        if (echo.toString() !== text) throw new Lost('mangled', `${show(echo)} for ${text}`);
        load.tally.echoes += 1;
        await load.pause(load.echoMs);
        if (wire.over) throw new Lost('dropped', wire.over);
      }
      wire.sendFrame(8, [3, 232]);
    } catch (error) {
      const ended = ['torn', 'cut', 'cut_reused'].includes(error.kind);
      throw ended ? new Lost('dropped', error.detail) : error;
    }
  }));
}

async function plain(load, wire, since) {
  wire.request('GET', '/', load.host);
  const answer = await load.answer(wire, since);
  names(answer);
  return answer;
}

/** The fixture answers with its version and nothing else. */
function names({ body, version }) {
  if (body.toString() !== `${version}\n`) throw new Lost('mangled', `${show(body)} by version ${JSON.stringify(version)}`);
}

const show = (body) => JSON.stringify(body.toString('latin1').slice(0, 60));

/** What the loops share: where the traffic goes, how it is counted, when it ends. */
export class Load {
  #over = new AbortController();

  constructor(options, tally) {
    Object.assign(this, options);
    this.tally = tally;
    setMaxListeners(0, this.#over.signal); // every client waits for it
  }

  running() { return !this.#over.signal.aborted; }
  stop() { this.#over.abort(); }

  /** Waits, but no longer than the load runs. */
  pause(ms) { return sleep(ms, undefined, { signal: this.#over.signal }).catch(() => {}); }

  open() { return Wire.open(this.target, this.stallMs); }

  async with(use) {
    const wire = await this.open();
    try { return await use(wire); } finally { wire.close(); }
  }

  async answer(wire, since) { return this.check(await wire.answer(), since, 200); }

  check(answer, since, due) {
    if (answer.status >= 500) throw new Lost('server_error', answer.status);
    if (answer.status !== due) throw new Lost('unexpected', answer.status);
    this.tally.saw(answer.version, since);
    return answer;
  }

  /** Runs `once` until the load ends, with a pause between; each time counts exactly once. */
  async each(kind, once) {
    await this.pause(Math.random() * this.pauseMs);
    while (this.running()) {
      const since = this.tally.now();
      try {
        await once(since);
        this.tally.good(kind, since);
      } catch (error) {
        this.tally.lost(kind, error);
      }
      await this.pause(this.pauseMs);
    }
  }
}
