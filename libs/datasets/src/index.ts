export { COUNTRY_LINES, readCountries } from './countries';
export { readMarkdown } from './markdown';
export { Sample, type EmbeddingProgress } from './sample';
export { readWordnet, WORDNET_CARDS } from './wordnet';
