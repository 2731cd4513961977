import { extname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { EmbeddingsAway } from '../domain/document.errors';
import { padded } from '../domain/vector';
import { Embeddings } from './embeddings';
import { ModelThread } from './model-thread';

/** Stands beside each vector that it has made. */
export const LOCAL_MODEL = 'universal-sentence-encoder-lite';

/** A question waits for so many passages at most; more at once are not faster (60 ms each). */
export const BATCH = 4;

/** So many questions are two seconds of one thread; whoever comes later would wait in vain. */
const MOST_QUESTIONS = 32;
/** Batches of passages. Those who bring them have their turn, later. */
const MOST_PASSAGES = 64;

/** The model knows the letters of Latin script; of anything else it makes the same meaningless vector. */
const KNOWN_WORD = /[\p{Script=Latin}0-9]/u;

interface Request {
  texts: string[];
  resolve: (vectors: Promise<number[][]>) => void;
}

/** The embedding model that comes with the platform (English, 512 dimensions), in threads of its own. Questions go before passages. */
export class LocalEmbeddings extends Embeddings {
  readonly model = LOCAL_MODEL;
  /** It reads 128 SentencePiece tokens, which are about 75 words, and cuts what comes after them silently. */
  readonly maxWords = 60;
  readonly batch = BATCH;
  // As this file: the compiled one, or in tests the source, of which Node strips the types.
  protected readonly threadFile: string = join(__dirname, `embedding-thread${extname(__filename)}`);
  protected readonly longestAnswerMs: number = 20_000;
  /** A machine that is very busy may not even start the model by then. */
  protected readonly longestQuestionMs: number = 4500;
  protected readonly longestIdleMs: number = 2 * 60_000;
  private readonly questions: Request[] = [];
  private readonly passages: Request[] = [];
  private readonly threads: ModelThread[] = [];

  constructor(private readonly mostThreads = 1) {
    super();
  }

  override async end(): Promise<void> {
    await Promise.all(this.threads.map((thread) => thread.end()));
  }

  async embedQuestion(text: string): Promise<number[] | undefined> {
    const answer = this.embed([text], this.questions, MOST_QUESTIONS);
    const late = new AbortController();
    const tooLate = setTimeout(this.longestQuestionMs, undefined, { signal: late.signal }).then(() => {
      throw new EmbeddingsAway();
    });
    tooLate.catch(() => undefined);
    try {
      return (await Promise.race([answer, tooLate]))[0];
    } finally {
      late.abort();
      answer.catch(() => undefined); // nobody waits for it any more
    }
  }

  async embedPassages(texts: readonly string[]): Promise<(number[] | undefined)[]> {
    return this.embed(texts, this.passages, MOST_PASSAGES);
  }

  private async embed(texts: readonly string[], line: Request[], longest: number): Promise<(number[] | undefined)[]> {
    const known = texts.filter((text) => isKnown(text));
    if (known.length === 0) return texts.map(() => undefined);
    if (line.length >= longest) throw new EmbeddingsAway();
    const vectors = await new Promise<number[][]>((resolve) => {
      // The model's tokenizer takes nothing but the space for white space.
      line.push({ texts: known.map((text) => text.trim().replace(/\s+/g, ' ')), resolve });
      this.askNext();
    });
    return texts.map((text) => (isKnown(text) ? padded(vectors.shift()!) : undefined));
  }

  private askNext(): void {
    const thread = this.idleThread();
    const request = thread && (this.questions.shift() ?? this.passages.shift());
    if (!request) return;
    const answer = thread.ask(request.texts);
    request.resolve(answer);
    const next = () => this.askNext();
    answer.then(next, next);
  }

  /** One that runs before one that would have to start. */
  private idleThread(): ModelThread | undefined {
    const idle = this.threads.filter((thread) => !thread.isBusy);
    const chosen = idle.find((thread) => thread.isRunning) ?? idle[0];
    if (chosen || this.threads.length >= this.mostThreads) return chosen;
    const another = new ModelThread(this.threadFile, this.longestAnswerMs, this.longestIdleMs);
    this.threads.push(another);
    return another;
  }
}

function isKnown(text: string): boolean {
  return KNOWN_WORD.test(text.normalize('NFKC'));
}
