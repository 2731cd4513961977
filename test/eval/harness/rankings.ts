import { DEPTH } from './metrics';

export const METHODS = ['text', 'vector', 'hybrid'] as const;
export type Method = (typeof METHODS)[number];

/** A passage that was found. */
export interface Found {
  passage: string;
  document: string;
}

/** What the platform answers to a question by each method, best first. */
export interface Asked {
  text: string;
  /** How many of its words count, as the search counts them. */
  words: number;
  relevant: string[];
  found: Record<Method, Found[]>;
}

export interface Rankings {
  set: string;
  documents: number;
  passages: number;
  asked: Asked[];
}

/** A document stands where its first passage does. @returns the first ten */
export function documentsOf(found: readonly Found[]): string[] {
  return [...new Set(found.map(({ document }) => document))].slice(0, DEPTH);
}
