const Sequencer = require('@jest/test-sequencer').default;

/** Those that take minutes, the longest first. */
const LONG = [
  'test/torture/torture',
  'test/e2e/keys',
  'test/torture/freshness/planted-bugs',
  'test/e2e/import',
  'test/e2e/documents',
  'test/e2e/sample',
  'test/torture/migrations/releases',
  'test/e2e/embedded',
  'test/e2e/authorization',
  'test/e2e/worker',
  'test/eval/eval',
];

function rankOf({ path }) {
  const rank = LONG.findIndex((name) => path.includes(`${name}.`));
  return rank < 0 ? LONG.length : rank;
}

/** On a new machine Jest knows no durations and goes by size: the longest may begin last and leave one core idle. */
module.exports = class LongestFirst extends Sequencer {
  sort(tests) {
    return super.sort(tests).sort((a, b) => rankOf(a) - rankOf(b));
  }
};
