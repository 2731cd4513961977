import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import {
  IdTaken,
  markAccepted,
  openLines,
  UnitOfWork,
  View,
  type BulkLine,
  type DomainError,
  type Learner,
  type LinesTaken,
  type Rejection,
  type Transaction,
  type Written,
} from '@studently/platform';
import { DocumentsImported } from '../ai-interactions.events';
import { DocumentTypeUnknown } from '../domain/document.errors';
import type { NewDocument } from '../domain/new-document';
import { CLIENT_MODEL, vectorText } from '../domain/vector';

/**
 * Takes one chunk of a bulk request. What cannot be kept is rejected line by line; a document that is there
 * already, with the same content, counts as accepted.
 * @param batchId makes the request resumable
 */
export class ImportDocuments extends Command<Written<LinesTaken>> {
  constructor(
    readonly actor: Learner,
    readonly lines: BulkLine<NewDocument>[],
    readonly batchId?: string,
  ) {
    super();
  }
}

const GIVEN = `
  json_to_recordset($2::json)
    as given (line int, id uuid, type text, title text, content text, metadata jsonb, embedding text)`;

/** What belongs to a new document comes with it: its job, or its one passage. */
const INSERT = `
  with given as (select * from ${GIVEN}), inserted as (
    insert into documents (user_id, id, type, title, content, metadata, embedding, embedding_model, status)
    select $1, id, type, title, content, metadata, embedding::vector, case when embedding is not null then $3 end,
      case when embedding is null then 'pending' else 'ready' end
    from given join document_types using (type)
    order by line
    on conflict (user_id, id) do nothing
    returning id, content, embedding, embedding_model
  ), queued as (
    insert into embedding_jobs (user_id, id) select $1, id from inserted where embedding is null
  ), passages as (
    insert into document_passages (user_id, document_id, ordinal, content, starts_at, embedding, embedding_model)
    select $1, id, 1, content, 0, embedding, embedding_model from inserted where embedding is not null
  )
  select id from inserted`;

/** Of lines that were not inserted: whether the type exists, and whether the same document is there. */
const COMPARE = `
  select line, exists (select from document_types t where t.type = given.type) as "typeKnown",
    coalesce(d.type = given.type and d.title is not distinct from given.title and d.content = given.content
      and d.metadata = given.metadata
      and case when d.embedding_model = $3 then d.embedding end is not distinct from given.embedding::vector, false) as same
  from ${GIVEN} left join documents d on d.user_id = $1 and d.id = given.id`;

interface Compared {
  line: number;
  typeKnown: boolean;
  same: boolean;
}

@CommandHandler(ImportDocuments)
export class ImportDocumentsHandler implements ICommandHandler<ImportDocuments> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, lines, batchId }: ImportDocuments): Promise<Written<LinesTaken>> {
    const batch = batchId === undefined ? undefined : { kind: 'documents', batchId };
    return this.unitOfWork.run<LinesTaken>(actor, async (tx) => {
      const open = await openLines(tx, batch, lines);
      const inserted = await this.insert(tx, actor, open);
      const rejected = await this.rejections(tx, actor, takenOnce(open, inserted));
      const refused = new Set(rejected.map(({ line }) => line));
      await markAccepted(
        tx,
        batch,
        open.map(({ line }) => line).filter((line) => !refused.has(line)),
      );
      if (inserted.length > 0) tx.record(new DocumentsImported(actor.userId, inserted));
      else tx.existed();
      return View.of({ accepted: lines.length - rejected.length, rejected });
    });
  }

  /** @returns the ids of the documents that are new */
  private async insert(tx: Transaction, { userId }: Learner, lines: BulkLine<NewDocument>[]): Promise<string[]> {
    if (lines.length === 0) return [];
    const rows = await tx.query<{ id: string }>(INSERT, [userId, given(lines), CLIENT_MODEL]);
    return rows.map(({ id }) => id);
  }

  private async rejections(tx: Transaction, { userId }: Learner, lines: BulkLine<NewDocument>[]): Promise<Rejection[]> {
    if (lines.length === 0) return [];
    const compared = await tx.query<Compared>(COMPARE, [userId, given(lines), CLIENT_MODEL]);
    return compared
      .filter(({ typeKnown, same }) => !typeKnown || !same)
      .map(({ line, typeKnown }) => rejection(line, typeKnown ? new IdTaken() : new DocumentTypeUnknown()));
  }
}

/** The lines whose document was there before, or is an earlier line's. */
function takenOnce(lines: BulkLine<NewDocument>[], inserted: readonly string[]): BulkLine<NewDocument>[] {
  const unseen = new Set(inserted);
  return lines.filter(({ value }) => !unseen.delete(value.id));
}

function rejection(line: number, { code, message, details: { faults } }: DomainError): Rejection {
  return { line, code, detail: faults?.map((fault) => `${fault.path}: ${fault.message}`).join('; ') ?? message };
}

function given(lines: BulkLine<NewDocument>[]): string {
  return JSON.stringify(
    lines.map(({ line, value: { embedding, ...document } }) => ({
      line,
      ...document,
      embedding: embedding && vectorText(embedding),
    })),
  );
}
