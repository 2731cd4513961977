export * from './ai-interactions.events';
export { AiInteractionsModule } from './ai-interactions.module';
export { CHAT_CHECKS } from './chat-checks';
export { AddDocument } from './commands/add-document';
export { AppendMessage, type AppendedMessage } from './commands/append-message';
export { ChangeChat } from './commands/change-chat';
export { ChangeDocument } from './commands/change-document';
export { DeleteChat } from './commands/delete-chat';
export { DeleteDocument } from './commands/delete-document';
export { ImportDocuments } from './commands/import-documents';
export { PublishDocument } from './commands/publish-document';
export { SetContextVector } from './commands/set-context-vector';
export { StartChat, type NewChat } from './commands/start-chat';
export { UnpublishDocument } from './commands/unpublish-document';
export { MESSAGE_ROLES, type ChatChanges, type MessageRole, type NewMessage } from './domain/chat.entity';
export { DOCUMENT_STATUSES, type DocumentChanges, type DocumentStatus } from './domain/document.entity';
export {
  DocumentFields,
  newDocument,
  NewDocumentInput,
  readNewDocument,
  VectorInput,
  type NewDocument,
} from './domain/new-document';
export { readVector } from './domain/vector';
export type { BranchPage, ChatPage, ChatView, MessageView } from './queries/chat.read-model';
export { CountDocuments, type DocumentCounts } from './queries/count-documents';
export type { DocumentView } from './queries/document.read-model';
export { EXPORT_FORMATS, ExportChat, type ExportFormat } from './queries/export-chat';
export { GetChat } from './queries/get-chat';
export { GetContext, type ChatContext, type ContextRequest } from './queries/get-context';
export { GetDocument } from './queries/get-document';
export { ListChats, type ChatFilter, type ChatSummary } from './queries/list-chats';
export { ListDocuments, type DocumentSummary } from './queries/list-documents';
export { ListLeaves, type Leaf, type Leaves } from './queries/list-leaves';
export { ListSharedDocuments, type SharedDocument } from './queries/list-shared-documents';
export { SearchChats, type ChatSearch, type ChatSearchResult, type FoundChat } from './queries/search-chats';
export type { DocumentFilter } from './queries/search/document-filter';
export type { FoundPassage } from './queries/search/found-passages';
export {
  SEARCH_MODES,
  SEARCH_SCOPES,
  SearchDocuments,
  type DocumentSearch,
  type SearchMode,
  type SearchScope,
  type SearchResult,
} from './queries/search-documents';
export { chosenModel, EmbeddingModels } from './embeddings/embedding-models';
export { LOCAL_MODEL } from './embeddings/local-embeddings';
export { RecallGate, type GateResult } from './embeddings/recall-gate';
export { SpaceMigration, type MigrationStatus } from './embeddings/space-migration';
