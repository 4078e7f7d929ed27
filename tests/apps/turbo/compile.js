// Stands for a compiler: what it makes of `src` depends on nothing else.
const { cpSync } = require('node:fs');
cpSync('src', 'dist', { recursive: true });
