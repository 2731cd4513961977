import { isRejection, readNdjson, type BulkLine, type Rejection } from '@studently/platform';
import { readStudyItem, type ImportedStudyItem } from './domain/new-study-item';

/** A review is a row, and the work of a schedule: more than the few bytes that it takes in the file, by which transactions are cut. */
const REVIEW_BYTES = 1000;

/** Study items from NDJSON as they arrive. */
export async function* readStudyNdjson(source: AsyncIterable<Buffer>): AsyncGenerator<BulkLine<ImportedStudyItem> | Rejection> {
  for await (const line of readNdjson(source, readStudyItem)) {
    if (!isRejection(line)) line.bytes += REVIEW_BYTES * (line.value.reviews?.length ?? 0);
    yield line;
  }
}
