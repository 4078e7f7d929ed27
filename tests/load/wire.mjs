// One connection, spoken to in bytes: nothing between this and the kernel retries, pools or hides a failure.
import { connect } from 'node:net';
import { createHash, randomBytes } from 'node:crypto';

/** What can go wrong with one request; `kind` is counted, `detail` is for people. */
export class Lost extends Error {
  constructor(kind, detail) {
    super(`${kind}: ${detail}`);
    this.kind = kind;
    this.detail = String(detail);
  }
}

export const LOSSES = {
  refused: 'no connection came about',
  cut: 'a new connection ended before the first byte of the answer',
  cut_reused: 'the same on a connection that had answered before',
  torn: 'the connection ended within the answer',
  stalled: 'an answer was due and no byte came for the time allowed',
  server_error: 'status 500 to 599',
  unexpected: 'any other status than the one that was asked for',
  mangled: 'not HTTP, or not the body or echo that was due',
  dropped: 'an open WebSocket ended, in whatever way',
};

const CRLF = Buffer.from('\r\n');
const BLANK_LINE = Buffer.from('\r\n\r\n');
const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

export class Wire {
  #socket;
  #stallMs;
  #pending = []; // chunks received and not yet read
  #size = 0; // their length
  #over = null; // why nothing more will come
  #waiter = null;
  #answers = 0; // whole answers read so far
  #heard = false; // whether a byte of the answer that is due has come

  /** Connects, or throws `refused`. `target` is {host, port} or {path}. */
  static async open(target, stallMs) {
    const socket = connect(target);
    await new Promise((resolve, reject) => {
      const give_up = setTimeout(() => socket.destroy(new Error('connect took too long')), stallMs);
      socket.once('error', (error) => { clearTimeout(give_up); reject(new Lost('refused', error.code ?? error.message)); });
      socket.once('connect', () => { clearTimeout(give_up); resolve(); });
    });
    return new Wire(socket, stallMs);
  }

  constructor(socket, stallMs) {
    this.#socket = socket;
    this.#stallMs = stallMs;
    socket.setNoDelay(true);
    socket.removeAllListeners('error');
    socket.on('data', (chunk) => { this.#pending.push(chunk); this.#size += chunk.length; this.#heard = true; this.#wake(); });
    socket.on('error', (error) => this.#end(error.code ?? error.message));
    socket.on('end', () => this.#end('end of stream'));
    socket.on('close', () => this.#end('closed'));
  }

  get over() { return this.#over; }
  get reused() { return this.#answers > 0; }
  get heard() { return this.#heard; }

  close() { this.#socket.destroy(); }
  write(bytes) { return this.#socket.write(bytes); }

  /** Sends the head of a request; from now on an answer is due. */
  request(method, path, host, headers = {}) {
    this.#heard = this.#size > 0;
    const lines = Object.entries({ Host: host, ...headers }).map(([name, value]) => `${name}: ${value}`);
    this.write([`${method} ${path} HTTP/1.1`, ...lines, '', ''].join('\r\n'));
  }

  /** Reads one whole answer. A 101 has no body. */
  async answer() {
    const { status, headers } = await this.#head();
    const body = status === 101 ? Buffer.alloc(0) : await this.#body(headers);
    this.#answers += 1;
    return { status, headers, body, version: headers['x-app-version'] ?? '', last: headers.connection?.toLowerCase() === 'close' };
  }

  async #head() {
    for (;;) {
      const [first, ...rest] = (await this.#until(BLANK_LINE)).toString('latin1').split('\r\n');
      const status = Number(/^HTTP\/1\.1 (\d{3})( |$)/.exec(first)?.[1]);
      if (!status) throw new Lost('mangled', `status line ${JSON.stringify(first.slice(0, 80))}`);
      const headers = Object.fromEntries(rest.map((line) => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }));
      if (status >= 200 || status === 101) return { status, headers };
    }
  }

  async #body(headers) {
    if (headers['transfer-encoding']?.toLowerCase() === 'chunked') return this.#chunks();
    if (/^\d+$/.test(headers['content-length'] ?? '')) return this.exactly(Number(headers['content-length']));
    throw new Lost('mangled', 'a body whose end can not be told');
  }

  async #chunks() {
    const parts = [];
    for (;;) {
      const line = (await this.#until(CRLF)).toString('latin1');
      if (!/^[0-9a-f]+(;|$)/i.test(line)) throw new Lost('mangled', `chunk size ${JSON.stringify(line.slice(0, 40))}`);
      const size = parseInt(line, 16);
      if (size === 0) break;
      parts.push(await this.exactly(size));
      if ((await this.exactly(2)).compare(CRLF) !== 0) throw new Lost('mangled', 'chunk without its end');
    }
    while ((await this.#until(CRLF)).length > 0);
    return Buffer.concat(parts);
  }

  /** Asks for a WebSocket on `path`; gives the 101. */
  async upgrade(path, host) {
    const key = randomBytes(16).toString('base64');
    this.request('GET', path, host, { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': 13, 'Sec-WebSocket-Key': key });
    const answer = await this.answer();
    const due = createHash('sha1').update(key + WEBSOCKET_GUID).digest('base64');
    if (answer.status === 101 && answer.headers['sec-websocket-accept'] !== due) throw new Lost('mangled', 'Sec-WebSocket-Accept');
    return answer;
  }

  /** Sends a short masked frame. */
  sendFrame(opcode, payload) {
    const mask = randomBytes(4);
    const masked = Buffer.from(payload).map((byte, at) => byte ^ mask[at % 4]);
    this.write(Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | masked.length]), mask, masked]));
  }

  /** The next message; answers pings. */
  async message() {
    for (;;) {
      const [first, second] = await this.exactly(2);
      const length = (second & 127) === 126 ? (await this.exactly(2)).readUInt16BE() : second & 127;
      const payload = await this.exactly(length);
      switch (first & 15) {
        case 1: case 2: return payload;
        case 8: throw new Lost('dropped', `close frame ${payload.length >= 2 ? payload.readUInt16BE() : 'without a code'}`);
        case 9: this.sendFrame(10, payload); break;
        case 10: break;
        default: throw new Lost('mangled', `frame with opcode ${first & 15}`);
      }
    }
  }

  async exactly(length) {
    while (this.#size < length) await this.#more();
    return this.#take(length);
  }

  async #until(mark) {
    for (;;) {
      if (this.#pending.length > 1) this.#pending = [Buffer.concat(this.#pending)];
      const at = this.#pending[0]?.indexOf(mark) ?? -1;
      if (at >= 0) return this.#take(at + mark.length).subarray(0, at);
      await this.#more();
    }
  }

  #take(length) {
    const all = this.#pending.length === 1 ? this.#pending[0] : Buffer.concat(this.#pending);
    this.#pending = length < all.length ? [all.subarray(length)] : [];
    this.#size -= length;
    return all.subarray(0, length);
  }

  async #more() {
    if (this.#over) throw new Lost(this.#heard ? 'torn' : this.reused ? 'cut_reused' : 'cut', this.#over);
    const stalled = await new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#stallMs, true);
      this.#waiter = () => { clearTimeout(timer); resolve(false); };
    });
    this.#waiter = null;
    if (stalled) throw new Lost('stalled', `no byte for ${this.#stallMs} ms`);
  }

  #end(why) { this.#over ??= why; this.#wake(); }
  #wake() { this.#waiter?.(); }
}
