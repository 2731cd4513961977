/** Columns of equal width for a person: the first and the last to the left, the others, which are numbers, to the right. */
export function columns(header: string[], rows: string[][]): string {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)));
  const padded = (cell: string, column: number, { length }: string[]) =>
    column === 0 || column === length - 1 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!);
  return [header, ...rows].map((cells) => cells.map(padded).join('  ').trimEnd()).join('\n');
}
