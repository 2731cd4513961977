import { Injectable } from '@nestjs/common';
import { shortened, ValidationFailed, type DomainError, type FieldFault, type Transaction } from '@studently/platform';
import Ajv, { type ErrorObject, type ValidateFunction } from 'ajv';
import { ContentTooLarge, TypeBroken, TypeUnknown } from './domain/study.errors';

/** A change of `study_item_types` counts after this time at the latest; a new type at once. */
const FRESH_MS = 10_000;
const MAX_FAULTS = 20;

/** As much as a request with one item may have. */
const MAX_CONTENT_CHARACTERS = 1024 * 1024;
/** Only what is no larger is searched for all of its faults: of a million elements each may be one. */
const SEARCHED_CHARACTERS = 64 * 1024;

interface TypeRow {
  type: string;
  schema: string;
}

interface Validators {
  /** Finds the first fault. */
  validate: ValidateFunction;
  /** Finds all of them. */
  search: ValidateFunction;
}

/** Knows by `study_item_types` what the content of each type has to look like. */
@Injectable()
export class ContentTypes {
  private validators = new Map<string, { schema: string } & Partial<Validators>>();
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
    const { validate, search } = known;
    if (!validate || !search) return new TypeBroken(type);
    const { length } = JSON.stringify(content);
    if (length > MAX_CONTENT_CHARACTERS) return new ContentTooLarge(MAX_CONTENT_CHARACTERS);
    const judge = length > SEARCHED_CHARACTERS ? validate : search;
    if (judge(content)) return undefined;
    // An `if` only says that what follows it has failed.
    const errors = judge.errors!.filter(({ keyword }) => keyword !== 'if');
    return new ValidationFailed(errors.slice(0, MAX_FAULTS).map(faultOf));
  }

  private async read(tx: Transaction): Promise<void> {
    const rows = await tx.query<TypeRow>(
      'select type, content_schema::text as schema from study_item_types order by created_at, type',
    );
    this.validators = new Map(
      rows.map(({ type, schema }) => {
        const known = this.validators.get(type);
        return [type, known?.schema === schema ? known : { schema, ...this.compile(schema) }];
      }),
    );
    this.readAt = Date.now();
  }

  /** Each schema by itself: what an `$id` names in one is not in another's way, nor in that of its own next edition. */
  private compile(schema: string): Validators | undefined {
    const compiled = (allErrors: boolean) =>
      new Ajv({ $data: true, allErrors, strict: false, logger: false }).compile(JSON.parse(schema) as object);
    try {
      const [validate, search] = [compiled(false), compiled(true)];
      return '$async' in validate ? undefined : { validate, search }; // which would answer a promise, and that is true
    } catch {
      return undefined;
    }
  }
}

function faultOf({ instancePath, keyword, message, params }: ErrorObject): FieldFault {
  const { missingProperty, additionalProperty } = params as { missingProperty?: string; additionalProperty?: string };
  const member = missingProperty ?? additionalProperty;
  const steps = instancePath.split('/').slice(1).map(unescaped);
  const path = ['content', ...steps, ...(member === undefined ? [] : [member])].map(shortened).join('.');
  return { path, code: keyword, message: message ?? 'is not valid' };
}

/** A step of a JSON pointer (RFC 6901). */
const unescaped = (step: string) => step.replaceAll('~1', '/').replaceAll('~0', '~');
