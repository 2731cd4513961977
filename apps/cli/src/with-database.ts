import { loadSettings, reachEmbeddedPostgres, type DatabaseTarget, type Settings } from '@studently/platform';

/** Runs a command on the served database, or on the embedded one: the running instance's, else one started for this. */
export async function withDatabase<T>(
  urlOf: (settings: Settings) => string | undefined,
  work: (target: DatabaseTarget, settings: Settings) => Promise<T>,
) {
  const settings = loadSettings();
  const url = urlOf(settings);
  if (url) return work({ url, embedded: false }, settings);
  const embedded = await reachEmbeddedPostgres(settings.STUDENTLY_DATA_DIR);
  try {
    return await work(embedded.target, settings);
  } finally {
    await embedded.stop();
  }
}
