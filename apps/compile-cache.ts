import { existsSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// Imported first: what is loaded after it is compiled once and not at each start.
const modules = join(process.cwd(), 'node_modules');
if (existsSync(modules)) enableCompileCache(join(modules, '.cache', 'studently'));
