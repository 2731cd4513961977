import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { changeText, distOf, makeRelease } from '../harness/release';

/** The release after this one: with further migrations, and a search that reads what they have made. */
export function makeNextRelease(folder: string, migrations: readonly string[]): string {
  return makeRelease(folder, ['api', 'cli'], () => {
    for (const each of migrations) cpSync(join(__dirname, each), join(folder, 'migrations'), { recursive: true });
    const listChats = join(distOf(folder), 'libs/ai-interactions/src/queries/list-chats.js');
    changeText(listChats, '$2 <% c.title)', '$2 <% coalesce(c.title_folded, lower(c.title)))');
  });
}
