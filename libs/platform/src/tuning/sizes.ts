const UNITS: Record<string, number> = { B: 1, kB: 1024, MB: 1024 ** 2, GB: 1024 ** 3, TB: 1024 ** 4 };

/** A size as PostgreSQL writes it (`512MB`), in bytes; undefined: it is none. */
export function bytesOf(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,9}) ?(kB|MB|GB|TB)$/.exec(text) ?? [];
  return number === undefined ? undefined : Number(number) * UNITS[unit!]!;
}

/** The same, as short as it is exact: at least whole megabytes. */
export function sizeOf(bytes: number): string {
  const unit = bytes % UNITS['GB']! === 0 && bytes > 0 ? 'GB' : 'MB';
  return `${Math.floor(bytes / UNITS[unit]!)}${unit}`;
}
