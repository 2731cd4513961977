import { dirname } from 'node:path';
import { ConfigurationError } from '@studently/platform';

/**
 * The folder of an installed package that brings data, of which nothing is copied into this project.
 * @throws ConfigurationError naming what to install, as the package is an optional one
 */
export function packageFolder(name: string): string {
  try {
    return dirname(require.resolve(`${name}/package.json`));
  } catch {
    throw new ConfigurationError(
      'DATASET_MISSING',
      `This needs the optional package ${name}, which is not installed: npm ci --include=optional`,
    );
  }
}
