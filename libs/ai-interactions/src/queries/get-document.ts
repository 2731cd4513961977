import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { NotFound, ReadModels, type Learner, type View } from '@studently/platform';
import { documentModel, type DocumentView } from './document.read-model';

/** One of the learner's own documents. */
export class GetDocument extends Query<View<DocumentView>> {
  constructor(
    readonly actor: Learner,
    readonly documentId: string,
    readonly readToken?: string,
  ) {
    super();
  }
}

@QueryHandler(GetDocument)
export class GetDocumentHandler implements IQueryHandler<GetDocument> {
  constructor(private readonly readModels: ReadModels) {}

  async execute({ actor, documentId, readToken }: GetDocument): Promise<View<DocumentView>> {
    const view = await this.readModels.get(documentModel, actor, documentId, { readToken });
    if (!view) throw new NotFound('document');
    return view;
  }
}
