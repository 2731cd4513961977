import { existsSync } from 'node:fs';
import { ConfigurationError } from '@studently/platform';

/**
 * A place that a Debian package fills, of which nothing is copied into this project.
 * @throws ConfigurationError naming what to install
 */
export function debianPackage(name: string, path: string): string {
  if (existsSync(path)) return path;
  throw new ConfigurationError(
    'DATASET_MISSING',
    `This needs the Debian package ${name}, which is not installed: sudo apt-get install ${name}`,
  );
}
