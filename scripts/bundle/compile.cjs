// node scripts/bundle/compile.cjs FILE ARGUMENTS…: runs a bundle with these arguments, and keeps what V8 has compiled for it beside it, so that
// the next start finds it (https://v8.dev/blog/code-caching-for-devs).
const { readFileSync, writeFileSync } = require('node:fs');
const { dirname, resolve } = require('node:path');
const v8 = require('node:v8');
const { Script } = require('node:vm');

const file = resolve(process.argv[2]);
process.argv.splice(1, 2, file);
v8.setFlagsFromString('--no-flush-bytecode'); // what has run once is kept
const script = new Script(readFileSync(file, 'latin1'), { filename: file });
process.once('exit', () => {
  v8.setFlagsFromString('--flush-bytecode'); // it counts only where the flags are the same
  writeFileSync(file.replace(/\.bundle\.js$/, '.compiled'), script.createCachedData());
});
script.runInThisContext()(module, require('node:module').createRequire(file), file, dirname(file));
