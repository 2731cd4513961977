import { loadSettings } from '../config/config';
import type { DatabaseTarget } from './connection';

/** Whoever writes another login into the file of DATABASE_URL_FILE has it used from the next connection on. */
export function servedTarget(url: string): DatabaseTarget {
  let last = url;
  const current = () => {
    try {
      last = loadSettings().DATABASE_URL ?? last;
    } catch {
      // The file is being written, or wrong: a new start would say so.
    }
    return last;
  };
  return { url, embedded: false, current };
}
