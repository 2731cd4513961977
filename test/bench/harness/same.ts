import type { Answer } from '../../support/http';

/** The limit has to send what the API sends. */
export function assertSame(limit: Answer, api: Answer): void {
  for (const header of ['etag', 'content-type']) {
    if (limit.headers.get(header) !== api.headers.get(header)) throw new Error(`The two servers differ in ${header}`);
  }
  if (limit.text !== api.text) throw new Error('The two servers send different bodies');
}
