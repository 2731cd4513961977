/**
 * Makes one call of many that come at the same moment: the first one waits until what is ready now has run.
 * @param ask answers for several at once, in no order; `keyOf` finds each one's answer
 */
export class Gathered<Question, Answer> {
  private waiting: { question: Question; resolve: (answer: Answer | undefined) => void; reject: (error: unknown) => void }[] =
    [];

  constructor(
    private readonly ask: (questions: Question[]) => Promise<Answer[]>,
    private readonly keyOf: (each: Question | Answer) => string,
  ) {}

  /** @returns undefined if there is no answer to this one */
  one(question: Question): Promise<Answer | undefined> {
    return new Promise((resolve, reject) => {
      if (this.waiting.length === 0) setImmediate(() => void this.askAll());
      this.waiting.push({ question, resolve, reject });
    });
  }

  private async askAll(): Promise<void> {
    const asked = this.waiting;
    this.waiting = [];
    try {
      const answers = await this.ask(asked.map(({ question }) => question));
      const byKey = new Map(answers.map((answer) => [this.keyOf(answer), answer]));
      for (const { question, resolve } of asked) {
        resolve(byKey.get(this.keyOf(question)));
        byKey.delete(this.keyOf(question)); // the same thing asked for twice is given once
      }
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  }
}
