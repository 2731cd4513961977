import type { FactoryProvider, OnApplicationShutdown } from '@nestjs/common';
import { SETTINGS, type Settings } from '@studently/platform';
import { getToken } from '@willsoto/nestjs-prometheus';
import { EmbeddingsAway } from '../domain/document.errors';
import type { VectorSpace } from '../queries/search/vector-spaces';
import type { Embeddings } from './embeddings';
import { LOCAL_MODEL, LocalEmbeddings } from './local-embeddings';
import { EMBEDDING_CALLS, OpenAiEmbeddings, type CallTimes } from './openai-embeddings';

/** The name that stands beside vectors: another length makes another model, of which the vectors cannot be compared. */
const NAME = /^(?<model>.+?)(?:@(?<dimensions>\d+))?$/;

/** The model that the settings name. */
export function chosenModel({ EMBEDDINGS_PROVIDER, EMBEDDINGS_MODEL, EMBEDDINGS_DIMENSIONS }: Settings): string {
  if (EMBEDDINGS_PROVIDER === 'local') return LOCAL_MODEL;
  return EMBEDDINGS_DIMENSIONS === undefined ? EMBEDDINGS_MODEL : `${EMBEDDINGS_MODEL}@${EMBEDDINGS_DIMENSIONS}`;
}

/** For each vector space the model that makes its vectors, once in a process. */
export class EmbeddingModels implements OnApplicationShutdown {
  private readonly models = new Map<string, Embeddings>();

  constructor(
    private readonly settings: Settings,
    private readonly times: CallTimes,
  ) {}

  async onApplicationShutdown(): Promise<void> {
    await Promise.all([...this.models.values()].map((model) => model.end()));
  }

  /** @throws EmbeddingsAway if this process has no address for it */
  of({ model, url }: Pick<VectorSpace, 'model' | 'url'>): Embeddings {
    const key = `${model} ${url}`;
    let made = this.models.get(key);
    if (!made) this.models.set(key, (made = this.make(model, url)));
    return made;
  }

  private make(name: string, otherUrl: string | null): Embeddings {
    const { EMBEDDINGS_URL, EMBEDDINGS_THREADS } = this.settings;
    if (name === LOCAL_MODEL) return new LocalEmbeddings(EMBEDDINGS_THREADS);
    const { model, dimensions } = NAME.exec(name)!.groups as { model: string; dimensions?: string };
    const url = otherUrl ?? EMBEDDINGS_URL;
    if (url === undefined) throw new EmbeddingsAway();
    const settings = { url, apiKey: this.keyFor(url), model, dimensions: dimensions ? Number(dimensions) : undefined };
    return new OpenAiEmbeddings(settings, this.times);
  }

  /** Each key is for the address that the settings name with it, and for no other. */
  private keyFor(url: string): string | undefined {
    const { EMBEDDINGS_URL, EMBEDDINGS_API_KEY, EMBEDDINGS_NEXT_URL, EMBEDDINGS_NEXT_API_KEY } = this.settings;
    if (url === EMBEDDINGS_URL) return EMBEDDINGS_API_KEY;
    return url === EMBEDDINGS_NEXT_URL ? EMBEDDINGS_NEXT_API_KEY : undefined;
  }
}

export const embeddingModelsProvider: FactoryProvider<EmbeddingModels> = {
  provide: EmbeddingModels,
  inject: [SETTINGS, getToken(EMBEDDING_CALLS)],
  useFactory: (settings: Settings, times: CallTimes) => new EmbeddingModels(settings, times),
};
