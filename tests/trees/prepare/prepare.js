// What installs of real projects leave beside node_modules: generated code, links, a directory of its own, an executable.
const fs = require('node:fs');
const path = require('node:path');
fs.mkdirSync('generated/deep', { recursive: true });
fs.writeFileSync('generated/where.json', JSON.stringify({ root: __dirname, cwd: process.cwd() }));
fs.writeFileSync('generated/deep/model.js', `module.exports = ${fs.readFileSync('schema.json', 'utf8').trim()};\n`);
fs.writeFileSync('generated/run', `#!/bin/sh\nexec node ${path.join(__dirname, 'server.js')}\n`, { mode: 0o755 });
fs.writeFileSync('generated/secret', 'for the owner\n', { mode: 0o600 });
fs.symlinkSync('deep/model.js', 'generated/model.js');
fs.symlinkSync('nowhere', 'generated/dangling');
fs.mkdirSync('empty');
fs.writeFileSync('src/made beside the sources.js', '');
fs.writeFileSync('node_modules/ms/made-by-prepare', 'x');
