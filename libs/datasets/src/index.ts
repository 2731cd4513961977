export { COUNTRY_LINES, readCountries } from './countries';
export { readMarkdown } from './markdown';
export { readWordnet, WORDNET_CARDS } from './wordnet';
