import { Injectable } from '@nestjs/common';
import { ValidationFailed, type DomainError, type FieldFault, type Transaction } from '@studently/platform';
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
  private validators = new Map<string, { schema: string; validate?: ValidateFunction }>();
  private readAt = 0;

  /** Why each of the items cannot be taken; undefined where nothing is wrong. */
  async refusalsOf(
    tx: Transaction,
    items: readonly { type: string; content: Record<string, unknown> }[],
  ): Promise<(DomainError | undefined)[]> {
    const isKnown = () => items.every(({ type }) => this.validators.has(type));
    if (Date.now() - this.readAt > FRESH_MS || !isKnown()) await this.read(tx);
    return items.map(({ type, content }) => this.refusalOf(type, content));
  }

  /** @throws ValidationFailed, TypeBroken */
  async check(tx: Transaction, item: { type: string; content: Record<string, unknown> }): Promise<void> {
    const [refusal] = await this.refusalsOf(tx, [item]);
    if (refusal) throw refusal;
  }

  private refusalOf(type: string, content: Record<string, unknown>): DomainError | undefined {
    const known = this.validators.get(type);
    if (!known) return new TypeUnknown([...this.validators.keys()]);
    const { validate } = known;
    if (!validate) return new TypeBroken(type);
    if (validate(content)) return undefined;
    // An `if` only says that what follows it has failed.
    const errors = validate.errors!.filter(({ keyword }) => keyword !== 'if');
    return new ValidationFailed(errors.slice(0, MAX_FAULTS).map(faultOf));
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

  /** Each schema by itself: what an `$id` names in one is not in another's way, nor in that of its own next edition. */
  private compile(schema: string): ValidateFunction | undefined {
    try {
      const ajv = new Ajv({ $data: true, allErrors: true, strict: false, logger: false });
      const validate = ajv.compile(JSON.parse(schema) as object);
      return '$async' in validate ? undefined : validate; // which would answer a promise, and that is true
    } catch {
      return undefined;
    }
  }
}

function faultOf({ instancePath, keyword, message, params }: ErrorObject): FieldFault {
  const { missingProperty, additionalProperty } = params as { missingProperty?: string; additionalProperty?: string };
  const member = missingProperty ?? additionalProperty;
  const steps = instancePath.split('/').slice(1).map(unescaped);
  const path = ['content', ...steps, ...(member === undefined ? [] : [member])].join('.');
  return { path, code: keyword, message: message ?? 'is not valid' };
}

/** A step of a JSON pointer (RFC 6901). */
const unescaped = (step: string) => step.replaceAll('~1', '/').replaceAll('~0', '~');
