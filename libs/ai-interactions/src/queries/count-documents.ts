import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { Database, View, type Learner } from '@studently/platform';
import type { DocumentStatus } from '../domain/document.entity';

export type DocumentCounts = Record<DocumentStatus, number>;

/** How many of the learner's own documents are embedded, wait for it, or cannot be. */
export class CountDocuments extends Query<View<DocumentCounts>> {
  constructor(readonly actor: Learner) {
    super();
  }
}

const SQL = `
  select row_to_json(counts)::text as json from (
    select count(*) filter (where status = 'pending') as pending, count(*) filter (where status = 'ready') as ready,
      count(*) filter (where status = 'failed') as failed
    from documents where user_id = $1
  ) counts`;

@QueryHandler(CountDocuments)
export class CountDocumentsHandler implements IQueryHandler<CountDocuments> {
  constructor(private readonly database: Database) {}

  async execute({ actor }: CountDocuments): Promise<View<DocumentCounts>> {
    const [row] = await this.database.query<{ json: string }>(actor, SQL, [actor.userId]);
    return new View(row!.json);
  }
}
