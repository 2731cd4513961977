import { existsSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// Imported first: what is loaded after it is compiled once and not at each start.
const modules = join(process.cwd(), 'node_modules');
const enable = enableCompileCache as typeof enableCompileCache | undefined; // Node 20 has none
if (existsSync(modules)) enable?.(join(modules, '.cache', 'studently'));
