#!/usr/bin/env node
console.log(require("@tree/b"), require("ms")("1 d"));
