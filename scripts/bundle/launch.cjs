#!/usr/bin/env node
// Copied to dist/<program>.js: runs <program>.bundle.js as V8 has compiled it at the build; another version of Node compiles it anew.
const { readFileSync } = require('node:fs');
const { Script } = require('node:vm');

const program = module.filename.replace(/\.js$/, '');
const script = new Script(readFileSync(`${program}.bundle.js`, 'latin1'), {
  filename: `${program}.bundle.js`,
  cachedData: readFileSync(`${program}.compiled`),
});
script.runInThisContext()(module, require, module.filename, module.path);
