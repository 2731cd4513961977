/** Of one call: none keeps others waiting for long. */
const MOST_AT_ONCE = 100;

interface Waiting<Question, Answer> {
  question: Question;
  resolve: (answer: Answer) => void;
  reject: (error: unknown) => void;
}

/**
 * Makes one call of many that come at the same moment: the first one waits until what is ready now has run.
 * @param ask answers several questions, in their order
 */
export class Gathered<Question, Answer> {
  private waiting: Waiting<Question, Answer>[] = [];

  constructor(private readonly ask: (questions: Question[]) => Promise<Answer[]>) {}

  one(question: Question): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.waiting.length === 0) setImmediate(this.askAll);
      this.waiting.push({ question, resolve, reject });
    });
  }

  private readonly askAll = (): void => {
    const all = this.waiting;
    this.waiting = [];
    for (let from = 0; from < all.length; from += MOST_AT_ONCE) void this.askThese(all.slice(from, from + MOST_AT_ONCE));
  };

  private async askThese(asked: Waiting<Question, Answer>[]): Promise<void> {
    try {
      const answers = await this.ask(asked.map(({ question }) => question));
      asked.forEach(({ resolve }, at) => resolve(answers[at]!));
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  }
}
