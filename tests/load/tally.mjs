// What was asked for, what came of it, and which version said so.
import { Lost } from './wire.mjs';

export class Tally {
  #began = performance.now();
  #kinds = {};
  #versions = []; // in the order of their first answers
  #stale = [];
  #details = [];
  idle_closes = 0;
  echoes = 0;

  constructor(kinds) {
    for (const kind of kinds) this.#kinds[kind] = { ok: 0, lost: {}, took: [] };
  }

  /** Milliseconds since the start. */
  now() { return performance.now() - this.#began; }

  good(kind, since) {
    this.#kinds[kind].ok += 1;
    this.#kinds[kind].took.push(this.now() - since);
  }

  lost(kind, error) {
    const { kind: loss, detail } = error instanceof Lost ? error : new Lost('mangled', error?.stack ?? error);
    const counts = this.#kinds[kind].lost;
    counts[loss] = (counts[loss] ?? 0) + 1;
    if (this.#details.length < 100) this.#details.push({ at_ms: Math.round(this.now()), kind, loss, detail });
  }

  /** An answer by `version` to a request begun at `since`: stale if a newer version had answered before that. */
  saw(version, since) {
    if (!version) return;
    const newest = this.#versions.at(-1);
    if (!this.#versions.some((known) => known.version === version)) {
      this.#versions.push({ version, first_ms: this.now(), answers: 1 });
      return;
    }
    this.#versions.find((known) => known.version === version).answers += 1;
    if (version !== newest.version && since > newest.first_ms) {
      this.#stale.push({ version, newest: newest.version, late_ms: since - newest.first_ms });
    }
  }

  /** Whether each kind has had an answer; a WebSocket is done only at the end, so its echoes stand for it. */
  allAnswered() {
    return Object.entries(this.#kinds).every(([kind, { ok }]) => ok > 0 || (kind === 'websocket' && this.echoes > 0));
  }

  summary({ staleMs = Infinity } = {}) {
    const kinds = Object.fromEntries(Object.entries(this.#kinds).map(([kind, { ok, lost, took }]) => [kind, { ok, lost, ...spread(took) }]));
    const lost = Object.values(kinds).flatMap((kind) => Object.values(kind.lost)).reduce((sum, n) => sum + n, 0);
    const why = [];
    for (const [kind, { ok, lost }] of Object.entries(kinds)) {
      for (const [loss, times] of Object.entries(lost)) why.push(`${kind} ${loss}: ${times}`);
      if (ok === 0) why.push(`${kind}: nothing succeeded`);
    }
    const tooStale = this.#stale.filter(({ late_ms }) => late_ms > staleMs).length;
    if (tooStale > 0) why.push(`stale by more than ${staleMs} ms: ${tooStale}`);
    return {
      pass: why.length === 0,
      why,
      seconds: round(this.now() / 1000),
      ok: Object.values(kinds).reduce((sum, { ok }) => sum + ok, 0),
      lost,
      kinds,
      ws_echoes: this.echoes,
      idle_closes: this.idle_closes,
      versions: this.#versions.map((known) => ({ ...known, first_ms: round(known.first_ms) })),
      stale: { answers: this.#stale.length, last_ms: round(Math.max(0, ...this.#stale.map(({ late_ms }) => late_ms))) },
      losses: this.#details,
    };
  }
}

function spread(took) {
  const sorted = Float64Array.from(took).sort();
  const at = (share) => (sorted.length ? round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]) : null);
  return { p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1) };
}

const round = (number) => Math.round(number * 10) / 10;
