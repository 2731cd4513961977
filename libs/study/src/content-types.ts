import { Injectable } from '@nestjs/common';
import { ValidationFailed, type FieldFault, type Transaction } from '@studently/platform';
import Ajv, { type ErrorObject, type ValidateFunction } from 'ajv';
import { TypeBroken, TypeUnknown } from './domain/study.errors';

/** A change of `study_item_types` counts after this time at the latest; a new type at once. */
const FRESH_MS = 10_000;
const MAX_FAULTS = 20;

interface TypeRow {
  type: string;
  schema: string;
}

/** Knows by `study_item_types` what the content of each type has to look like. */
@Injectable()
export class ContentTypes {
  private readonly ajv = new Ajv({ $data: true, allErrors: true, strict: false, logger: false });
  private validators = new Map<string, { schema: string; validate?: ValidateFunction }>();
  private readAt = 0;

  /** What is wrong with each of the items; an empty list where nothing is. @throws TypeBroken */
  async faultsOf(
    tx: Transaction,
    items: readonly { type: string; content: Record<string, unknown> }[],
  ): Promise<FieldFault[][]> {
    const isKnown = () => items.every(({ type }) => this.validators.has(type));
    if (Date.now() - this.readAt > FRESH_MS || !isKnown()) await this.read(tx);
    return items.map(({ type, content }) => this.judge(type, content));
  }

  /** @throws ValidationFailed, TypeBroken */
  async check(tx: Transaction, item: { type: string; content: Record<string, unknown> }): Promise<void> {
    const [faults] = await this.faultsOf(tx, [item]);
    if (faults!.length > 0) throw new ValidationFailed(faults!);
  }

  private judge(type: string, content: Record<string, unknown>): FieldFault[] {
    const known = this.validators.get(type);
    if (!known) return new TypeUnknown([...this.validators.keys()]).details.faults!;
    if (!known.validate) throw new TypeBroken(type);
    if (known.validate(content)) return [];
    // An `if` only says that what follows it has failed.
    return known.validate
      .errors!.filter(({ keyword }) => keyword !== 'if')
      .slice(0, MAX_FAULTS)
      .map(faultOf);
  }

  private async read(tx: Transaction): Promise<void> {
    const rows = await tx.query<TypeRow>(
      'select type, content_schema::text as schema from study_item_types order by created_at, type',
    );
    this.validators = new Map(
      rows.map(({ type, schema }) => {
        const known = this.validators.get(type);
        return [type, known?.schema === schema ? known : { schema, validate: this.compile(schema) }];
      }),
    );
    this.readAt = Date.now();
  }

  private compile(schema: string): ValidateFunction | undefined {
    try {
      return this.ajv.compile(JSON.parse(schema) as object);
    } catch {
      return undefined;
    }
  }
}

function faultOf({ instancePath, keyword, message, params }: ErrorObject): FieldFault {
  const missing = (params as { missingProperty?: string }).missingProperty;
  const path = ['content', ...instancePath.split('/').slice(1), ...(missing === undefined ? [] : [missing])].join('.');
  return { path, code: keyword, message: message ?? 'is not valid' };
}
