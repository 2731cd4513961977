export { COUNTRY_LINES, readCountries } from './countries';
export { FOLDOC_ARTICLES, readFoldoc } from './foldoc';
export { readHtml } from './html';
export { readMarkdown } from './markdown';
export { readPostgresqlDoc } from './postgresql-doc';
export { Sample, type EmbeddingProgress } from './sample';
export { readWordnet, WORDNET_CARDS } from './wordnet';
