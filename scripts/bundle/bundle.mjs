// node scripts/bundle/bundle.mjs [PROGRAM…]: makes one file of each built program, compiles it, and puts dist/<program>.js before it,
// which starts it. A start then reads that, and not two thousand files.
import { createRequire } from 'node:module';
import { spawnSync } from 'node:child_process';
import { chmod, copyFile, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { build } from 'esbuild';

const dist = resolve('dist');
const here = import.meta.dirname;
/** EX_CONFIG of sysexits.h */
const CONFIGURATION_FAULT = 78;
const PROGRAMS = process.argv.length > 2 ? process.argv.slice(2) : ['api', 'cli', 'worker'];

/** A bundle is a function of what a module is given. */
const HEAD = `(function (module, require, __filename, __dirname) { const exports = module.exports;
const __dist = __dirname, __url = require('node:url').pathToFileURL(__filename).href;
`;

/** They look for files of their own beside them: native code, WebAssembly, threads, pages. */
const AS_THEY_ARE = [
  '@electric-sql/*',
  '@energetic-ai/*',
  '@fastify/static',
  '@node-rs/argon2',
  'msgpackr-extract',
  'pino',
  'swagger-ui-dist',
];

/** What others would use if it were installed: they look for it at run time, in vain. */
const whatIsNotInstalled = {
  name: 'what-is-not-installed',
  setup({ onResolve }) {
    onResolve({ filter: /^[@\w]/, namespace: 'file' }, ({ path, importer }) => {
      try {
        createRequire(importer).resolve(path);
      } catch (error) {
        if (error.code === 'MODULE_NOT_FOUND') return { path, external: true };
      }
    });
  },
};

/** Each of our files still knows where it was: threads and migrations are found from there. */
const placesOfOurs = {
  name: 'places-of-ours',
  setup({ onLoad }) {
    onLoad({ filter: /\.js$/ }, async ({ path }) => {
      if (!path.startsWith(join(dist, 'libs'))) return undefined;
      const text = await readFile(path, 'utf8');
      const folder = JSON.stringify(relative(dist, dirname(path)));
      if (!/\b__dirname\b/.test(text)) return undefined;
      return { contents: `const __dirname = require('node:path').join(__dist, ${folder});\n${text}` };
    });
  },
};

/**
 * Classes keep their names: errors are told by them, and commands counted. That functions keep theirs, too, would have each closure named
 * anew whenever it is made, and a cached read take a fifth longer.
 */
const namesOfClasses = (text) =>
  text
    .replaceAll('__name(this, ', '__className(this, ')
    .replace(/^var __name = (.*)$/m, 'var __className = $1\nvar __name = (target) => target;');

/** A text of one byte a character takes half the memory, and is read as it is. */
const ascii = (text) => text.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** Loads all of it, and does nothing. */
const TRIAL = { arguments: ['--help'], environment: { PATH: process.env.PATH, DATABASE_URL: 'nowhere' } };

async function make(program) {
  const { outputFiles } = await build({
    entryPoints: [join(dist, 'apps', program, 'src/main.js')],
    outfile: join(dist, `${program}.bundle.js`),
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    keepNames: true,
    external: AS_THEY_ARE,
    define: { 'import.meta.url': '__url' },
    supported: { 'dynamic-import': false }, // a script that V8 has compiled has no import(), but by an experiment of which Node warns
    plugins: [whatIsNotInstalled, placesOfOurs],
    logLevel: 'error',
    write: false,
  });
  const [{ path, text }] = outputFiles;
  await writeFile(path, `${HEAD}${ascii(namesOfClasses(text.replace(/^#!.*/, '')))}\n})`);
  const { status, stderr } = spawnSync(process.execPath, [join(here, 'compile.cjs'), path, ...TRIAL.arguments], {
    env: TRIAL.environment,
    timeout: 60_000,
  });
  if (![0, CONFIGURATION_FAULT].includes(status)) throw new Error(`${program} does not load:\n${stderr}`);
  await copyFile(join(here, 'launch.cjs'), join(dist, `${program}.js`));
  await chmod(join(dist, `${program}.js`), 0o755);
}

await Promise.all(PROGRAMS.map(make));
