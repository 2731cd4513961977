import type { NewDocument } from '@studently/ai-interactions';
import type { BulkLine, Rejection } from '@studently/platform';
import { debianPackage } from './debian-package';
import { readHtml } from './html';

const PACKAGE = 'postgresql-doc-15';
/** It lists the pages, and says nothing itself. */
const LEFT_OUT = new Set(['bookindex.html']);

/** The manual of PostgreSQL 15, a document of each page. @throws ConfigurationError where the package is not installed */
export function readPostgresqlDoc(): AsyncGenerator<BulkLine<NewDocument> | Rejection> {
  const folder = debianPackage(PACKAGE, `/usr/share/doc/${PACKAGE}/html`);
  return readHtml(folder, { source: PACKAGE, type: 'reference', leftOut: LEFT_OUT });
}
