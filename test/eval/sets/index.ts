import { definitions } from './definitions';
import { faq } from './faq';
import { postgresqlIndex } from './postgresql-index';

export const SOURCES = [faq, definitions, postgresqlIndex];
