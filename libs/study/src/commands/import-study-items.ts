import { Command } from '@nestjs/cqrs';
import type { BulkLine, Learner, LinesTaken, Written } from '@studently/platform';
import type { ImportedStudyItem } from '../domain/new-study-item';

/** Adds many items at once. Under a batch, a line that was accepted before is not accepted twice. */
export class ImportStudyItems extends Command<Written<LinesTaken>> {
  constructor(
    readonly actor: Learner,
    readonly lines: BulkLine<ImportedStudyItem>[],
    readonly batchId?: string,
  ) {
    super();
  }
}
