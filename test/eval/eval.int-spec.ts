import { isBelow } from './harness/bootstrap';
import { judge } from './harness/judge';
import { EvalContext, rankingsOf, startPlatform } from './harness/platform';
import { faq } from './sets/faq';
import { chosen, missingPackages, type JudgedSet } from './sets/judged-set';

const SEED = 1;
/** All of them, and the other sets, take minutes: `npm run eval`. */
const QUESTIONS = 100;

const missing = missingPackages([faq]);
if (missing.length > 0 && process.env['CI'] === 'true') throw new Error(`Missing: ${missing.join(', ')}`);

(missing.length > 0 ? describe.skip : describe)('Search judged by the authors of two FAQs, in short', () => {
  it('AI-9 hybrid is not below the better of words and meaning by paired bootstrap, and finds most answers', async () => {
    const context = new EvalContext();
    try {
      const { lines, better, hybridOver } = judge(await ask(context));
      // told where it fails
      expect({ lines, difference: hybridOver[better], below: isBelow(hybridOver[better]) }).toMatchObject({ below: false });
      expect(lines.find(({ method }) => method === 'hybrid')!.hitAt10).toBeGreaterThan(0.7);
    } finally {
      await context.close();
    }
  }, 600_000);
});

async function ask(context: EvalContext) {
  return rankingsOf(context, await startPlatform(context), faq.name, some(await faq.read({ seed: SEED, full: false })));
}

function some({ documents, questions }: JudgedSet): JudgedSet {
  const asked = chosen(questions, QUESTIONS, SEED, ({ text }) => text);
  const right = new Set(asked.flatMap(({ relevant }) => relevant));
  return { documents: documents.filter(({ id }) => right.has(id)), questions: asked };
}
