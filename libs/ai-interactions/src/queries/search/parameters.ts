/** The values of a statement, in the order in which its text names them. The text never holds one. */
export class Parameters {
  readonly values: unknown[] = [];

  /** @returns what stands for the value in the text */
  add(value: unknown): string {
    return `$${this.values.push(value)}`;
  }
}
