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
import { wholePassage } from '../domain/passages';
import { CLIENT_MODEL, vectorText } from '../domain/vector';
import { sealPassages } from './sealed-passages';

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
    as given (line int, id uuid, type text, title text, content text, metadata jsonb, embedding text,
      "passageId" uuid, passage text, lexemes text, "endsAt" int)`;

/** The one passage of a document that brings its embedding comes with it. */
const INSERT = `
  with given as (select * from ${GIVEN}), inserted as (
    insert into documents (user_id, id, type, title, content_sealed, metadata, embedding, embedding_model, status)
    select $1, id, type, title, decode(content, 'base64'), metadata, embedding::vector, case when embedding is not null then $3 end,
      case when embedding is null then 'pending' else 'ready' end
    from given join document_types using (type)
    order by line
    on conflict (user_id, id) do nothing
    returning id, content_sealed, embedding
  ), whole as (
    select d.id as document_id, g."passageId" as id, g.passage, g.lexemes, g."endsAt", d.embedding
    from inserted d join given g on g.id = d.id and decode(g.content, 'base64') = d.content_sealed
    where d.embedding is not null
  ), passages as (
    insert into document_passages (user_id, document_id, id, ordinal, content_sealed, lexemes_sealed, starts_at, ends_at)
    select $1, document_id, id, 1, decode(passage, 'base64'), lexemes::tsvector, 0, "endsAt" from whole
  ), vectors as (
    insert into passage_vectors (user_id, passage_id, document_id, space, embedding)
    select $1, id, document_id, (select space from vector_spaces where model = $3), embedding from whole
  )
  select id, embedding is null as "toBeEmbedded" from inserted`;

/** Of lines that were not inserted: whether the type exists, and whether the same document is there, but for its content. */
const COMPARE = `
  select line, exists (select from document_types t where t.type = given.type) as "typeKnown",
    coalesce(d.type = given.type and d.title is not distinct from given.title
      and d.metadata = given.metadata
      and case when d.embedding_model = $3 then d.embedding end is not distinct from given.embedding::vector, false) as same,
    d.content, d.content_sealed as "contentSealed"
  from ${GIVEN} left join documents d on d.user_id = $1 and d.id = given.id`;

interface Inserted {
  id: string;
  toBeEmbedded: boolean;
}

interface Compared {
  line: number;
  typeKnown: boolean;
  same: boolean;
  content: string | null;
  contentSealed: Buffer | null;
}

@CommandHandler(ImportDocuments)
export class ImportDocumentsHandler implements ICommandHandler<ImportDocuments> {
  constructor(private readonly unitOfWork: UnitOfWork) {}

  execute({ actor, lines, batchId }: ImportDocuments): Promise<Written<LinesTaken>> {
    const batch = batchId === undefined ? undefined : { kind: 'documents', batchId };
    return this.unitOfWork.run<LinesTaken>(actor, async (tx) => {
      const open = await openLines(tx, batch, lines);
      const inserted = await this.insert(tx, actor, open);
      const rejected = await this.rejections(
        tx,
        actor,
        takenOnce(
          open,
          inserted.map(({ id }) => id),
        ),
      );
      const refused = new Set(rejected.map(({ line }) => line));
      await markAccepted(
        tx,
        batch,
        open.map(({ line }) => line).filter((line) => !refused.has(line)),
      );
      if (inserted.length > 0) tx.record(imported(actor.userId, inserted));
      else tx.existed();
      return View.of({ accepted: lines.length - rejected.length, rejected });
    });
  }

  /** @returns the documents that are new */
  private async insert(tx: Transaction, { userId }: Learner, lines: BulkLine<NewDocument>[]): Promise<Inserted[]> {
    if (lines.length === 0) return [];
    return tx.query<Inserted>(INSERT, [userId, await sealed(tx, userId, lines), CLIENT_MODEL]);
  }

  private async rejections(tx: Transaction, { userId }: Learner, lines: BulkLine<NewDocument>[]): Promise<Rejection[]> {
    if (lines.length === 0) return [];
    const compared = await tx.query<Compared>(COMPARE, [userId, given(lines.map(row)), CLIENT_MODEL]);
    const cipher = await tx.cipher(userId);
    const wanted = new Map(lines.map(({ line, value }) => [line, value]));
    const isSame = ({ line, same, content, contentSealed }: Compared) => {
      if (!same) return false;
      const { id, content: given } = wanted.get(line)!;
      return given === (contentSealed ? cipher.open('documents.content', id, contentSealed) : content);
    };
    return compared
      .filter((line) => !line.typeKnown || !isSame(line))
      .map(({ line, typeKnown }) => rejection(line, typeKnown ? new IdTaken() : new DocumentTypeUnknown()));
  }
}

function imported(userId: string, documents: Inserted[]): DocumentsImported {
  const ids = (some: Inserted[]) => some.map(({ id }) => id);
  return new DocumentsImported(userId, ids(documents), ids(documents.filter(({ toBeEmbedded }) => toBeEmbedded)));
}

/** The lines whose document was there before, or is an earlier line's. */
function takenOnce(lines: BulkLine<NewDocument>[], inserted: readonly string[]): BulkLine<NewDocument>[] {
  const unseen = new Set(inserted);
  return lines.filter(({ value }) => !unseen.delete(value.id));
}

function rejection(line: number, { code, message, details: { faults } }: DomainError): Rejection {
  return { line, code, detail: faults?.map((fault) => `${fault.path}: ${fault.message}`).join('; ') ?? message };
}

const given = (rows: object[]) => JSON.stringify(rows);

/** What can be compared in the database: not the content. */
function row({ line, value: { embedding, content: _, ...document } }: BulkLine<NewDocument>) {
  return { line, ...document, embedding: embedding && vectorText(embedding) };
}

async function sealed(tx: Transaction, userId: string, lines: BulkLine<NewDocument>[]): Promise<string> {
  const cipher = await tx.cipher(userId);
  const whole = lines.filter(({ value }) => value.embedding);
  const passages = await sealPassages(
    tx,
    userId,
    whole.map(({ value }) => wholePassage(value.content)),
  );
  const passageOf = new Map(whole.map((line, nr) => [line, passages[nr]!]));
  const rows = lines.map((line) => {
    const passage = passageOf.get(line);
    return {
      ...row(line),
      content: cipher.seal('documents.content', line.value.id, line.value.content).toString('base64'),
      ...(passage && {
        passageId: passage.id,
        passage: passage.content.toString('base64'),
        lexemes: passage.lexemes,
        endsAt: line.value.content.length,
      }),
    };
  });
  return given(rows);
}
