import { randomBytes } from 'node:crypto';
import type { EmbeddingProgress, Sample } from '@studently/datasets';

const JSON_HEADER = "-H 'Content-Type: application/json'";

/** A word for the shell. */
const quoted = (text: string) => (/^[\w@./:+-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`);

/** What a start has to say: where everything is, who is in the sample, and three lines to paste. */
export function welcome(url: string, where: string, sample?: Sample): string {
  const places = [
    ['API', '/v1'],
    ['docs', '/docs'],
    ['health', '/health/ready'],
    ['metrics', '/metrics'],
  ].map(([name, path]) => `  ${name!.padEnd(7)} ${url}${path}`);
  const warnings = [...(sample?.warnings ?? [])].map((warning) => `warning: ${warning}`);
  const logins = sample?.fresh.map(({ email, password, holds }) => `  ${email.padEnd(20)}  ${password}  ${holds}`) ?? [];
  return [
    '',
    `StudentlyAI data platform is ready (${where})`,
    ...places,
    ...warnings,
    ...(logins.length > 0
      ? [
          '',
          'Sample learners and their passwords (shown once; kept where only you can read them). Reviews are simulated.',
          ...logins,
        ]
      : []),
    '',
    'To try it, paste:',
    ...(sample?.loginFile === undefined ? newcomersLines(url) : samplesLines(url, sample.loginFile)),
    '',
    '',
  ].join('\n');
}

const TOKEN = String.raw`sed 's/.*"token":"\([^"]*\)".*/\1/'`;

/** Log in, see what is due, and search. */
function samplesLines(url: string, loginFile: string): string[] {
  const question = '{"text":"validate the request body","k":3}';
  return [
    `TOKEN=$(curl -s ${url}/v1/sessions ${JSON_HEADER} -d ${quoted(`@${loginFile}`)} | ${TOKEN})`,
    `curl -s "${url}/v1/study/due?limit=3" -H "Authorization: Bearer $TOKEN"`,
    `curl -s ${url}/v1/documents/search -H "Authorization: Bearer $TOKEN" ${JSON_HEADER} -d '${question}'`,
  ];
}

/** Register, log in, and add a card. */
function newcomersLines(url: string): string[] {
  const login = `'{"email":"you-${randomBytes(3).toString('hex')}@example.org","password":"${randomBytes(15).toString('base64url')}"}'`;
  const card = '{"type":"flashcard","content":{"front":"bonjour","back":"good morning"}}';
  return [
    `curl -s ${url}/v1/users ${JSON_HEADER} -d ${login}`,
    `TOKEN=$(curl -s ${url}/v1/sessions ${JSON_HEADER} -d ${login} | ${TOKEN})`,
    `curl -s ${url}/v1/study/items -H "Authorization: Bearer $TOKEN" ${JSON_HEADER} -d '${card}'`,
  ];
}

/** One line that is written over on a terminal; elsewhere a line at the beginning, one at the end, and a few between them. */
export function embeddingReport(out: NodeJS.WriteStream): (progress: EmbeddingProgress) => void {
  let lastQuarter = -1;
  return ({ embedded, total }) => {
    const text = `Embedding documents ${embedded}/${total}`;
    const quarter = Math.floor((4 * embedded) / total);
    if (out.isTTY) out.write(`\r\x1b[K${text}${embedded === total ? '\n' : ''}`);
    else if (quarter > lastQuarter) out.write(`${text}\n`);
    lastQuarter = quarter;
  };
}
