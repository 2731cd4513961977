// Prints what the boundary rules find in each of the given trees, as one line of JSON: [{ rule, from, to }] per tree.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { cruise } from 'dependency-cruiser';
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config';

const { forbidden, options } = createRequire(import.meta.url)('../../.dependency-cruiser.cjs');
const tsConfig = extractTSConfig(options.tsConfig.fileName);

for (const tree of process.argv.slice(2)) {
  const baseDir = resolve(tree);
  const { enhancedResolveOptions, ...rest } = options;
  const result = await cruise(
    ['apps', 'libs', 'test'].filter((folder) => existsSync(join(baseDir, folder))),
    { ...rest, baseDir, validate: true, ruleSet: { forbidden } },
    enhancedResolveOptions,
    { tsConfig },
  );
  const found = result.output.summary.violations.map(({ rule, from, to }) => ({ rule: rule.name, from, to }));
  console.log(JSON.stringify({ modules: result.output.summary.totalCruised, found }));
}
