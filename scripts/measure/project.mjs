// A working repository of a fixture, with commits whose version its app tells.
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './tools.mjs';

const APPS = fileURLToPath(new URL('../../tests/apps/', import.meta.url));
/** All of the same length, so that none is a part of another. */
let serial = 1000;

export class Project {
  /** `files`: name → text, beside the fixture's own. */
  static async of(fixture, directory, files = {}) {
    const it = new Project();
    it.directory = directory;
    cpSync(join(APPS, fixture), directory, { recursive: true });
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
    await it.git('-c', 'init.defaultBranch=main', 'init', '-q');
    it.manifest = JSON.parse(it.read('package.json'));
    return it;
  }

  git(...args) { return run(['git', '-C', this.directory, '-c', 'user.name=bench', '-c', 'user.email=bench@localhost', ...args]); }

  read(name) { return readFileSync(join(this.directory, name), 'utf8'); }

  get name() { return basename(this.directory); }

  /** `code`: a source file; `lockfile`: package.json and the lockfile too, by the app's version number. */
  async commit(change) {
    serial += 1;
    this.version = `v${serial}`;
    writeFileSync(join(this.directory, 'VERSION'), `${this.version}\n`);
    if (change === 'lockfile') {
      for (const file of ['package.json', 'package-lock.json']) {
        const json = JSON.parse(this.read(file));
        json.version = `1.0.${serial}`;
        if (json.packages) json.packages[''].version = json.version;
        writeFileSync(join(this.directory, file), `${JSON.stringify(json, null, 2)}\n`);
      }
    }
    await this.git('add', '-A');
    await this.git('commit', '-qm', `${change} ${serial}`);
  }
}
