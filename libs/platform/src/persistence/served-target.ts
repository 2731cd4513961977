import { loadSettings, type Settings } from '../config/config';
import type { DatabaseTarget } from './connection';

/** Whoever writes another login into the file of DATABASE_URL_FILE has it used from the next connection on. */
export function servedTarget(
  url: string,
  find: (settings: Settings) => string | undefined = (now) => now.DATABASE_URL,
): DatabaseTarget {
  let last = url;
  const current = () => {
    try {
      last = find(loadSettings()) ?? last;
    } catch {
      // The file is being written, or wrong: a new start would say so.
    }
    return last;
  };
  return { url, embedded: false, current };
}

export const replicaTargets = ({ DATABASE_REPLICA_URLS: urls = [] }: Settings): DatabaseTarget[] =>
  urls.map((url, index) => servedTarget(url, (now) => now.DATABASE_REPLICA_URLS?.[index]));
