import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { Database } from '@studently/platform';

/** Whether anybody is registered; in a new database nobody is. */
export class HasUsers extends Query<boolean> {}

@QueryHandler(HasUsers)
export class HasUsersHandler implements IQueryHandler<HasUsers> {
  constructor(private readonly database: Database) {}

  async execute(): Promise<boolean> {
    const rows = await this.database.read({ role: 'ADMIN' }, 'select from users limit 1');
    return rows.length > 0;
  }
}
