import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folders = new Map<string, string>();

/**
 * The data folder of whoever runs on a served database: keys and anchors. One for each database, as all of its
 * processes need the same, and not a developer's own. It goes with the test run, or with the workspace.
 */
export function dataFolderOf({ DATABASE_URL: url }: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  if (!url) return {};
  const database = new URL(url).pathname + new URL(url).port;
  let folder = folders.get(database);
  if (folder === undefined) {
    folder = mkdtempSync(join(process.env['TEST_FOLDERS'] ?? tmpdir(), 'studently-served-'));
    folders.set(database, folder);
  }
  return { STUDENTLY_DATA_DIR: folder };
}
