import { Ajv2020 } from 'ajv/dist/2020';
import addFormats from 'ajv-formats';
import type { Answer } from '../../support/http';
import { openApi, type Operation } from '../../support/operations';

const ajv = new Ajv2020({ strict: false, allErrors: true });
(addFormats as unknown as typeof addFormats.default)(ajv);
ajv.addSchema(openApi, 'api');

const pointer = (...steps: string[]) =>
  `api#/${steps.map((step) => encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`;

/** What an answer has that the OpenAPI document does not say of its route; undefined: nothing. */
export function breachOf({ method, path }: Operation, answer: Answer): string | undefined {
  if (answer.status >= 500) return `answers ${answer.status}: ${answer.text.slice(0, 300)}`;
  const { responses } = openApi.paths[path][method.toLowerCase()];
  const status = responses[answer.status] ? String(answer.status) : 'default';
  const content = responses[status]?.content;
  if (status === 'default' && answer.status < 400) return `answers ${answer.status}, which is not described`;
  if (answer.status === 204 || answer.status === 304)
    return answer.text === '' ? undefined : `answers ${answer.status} with a body`;
  const type = answer.headers.get('content-type')?.split(';')[0] ?? '';
  if (!content?.[type]) return `answers ${answer.status} with ${type || 'no type'}, which is not described`;
  if (!type.endsWith('json')) return undefined;
  const validate = ajv.getSchema(pointer('paths', path, method.toLowerCase(), 'responses', status, 'content', type, 'schema'))!;
  if (validate(answer.body)) return undefined;
  return `answers ${answer.status} ${answer.text.slice(0, 300)}, against its schema: ${ajv.errorsText(validate.errors)}`;
}
