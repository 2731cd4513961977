const NAMED: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' };

/** Parts of a page that are no text of its author. */
const APART = [
  /<(script|style|head)\b[\s\S]*?<\/\1>/gi,
  /<!--[\s\S]*?-->/g,
  /<div class="(navheader|navfooter|toc)"[\s\S]*?<\/(table|dl)>/g,
  /<a class="headerlink"[\s\S]*?<\/a>/g,
];

/**
 * The text of a page as generators of documentation write them (DocBook, Sphinx), with Markdown's signs for headings. No
 * parser of HTML: it knows the well-formed pages that it is given.
 */
export function textOf(html: string): string {
  const bare = APART.reduce((rest, part) => rest.replace(part, ' '), html);
  return unescaped(
    bare
      .split(/(<pre\b[\s\S]*?<\/pre>)/)
      .map((part, index) => (index % 2 ? `\n\n${part}\n\n` : part.replace(/\s+/g, ' ')))
      .join('')
      .replace(/<h([1-6])\b[^>]*>/g, (_, level: string) => `\n\n${'#'.repeat(Number(level))} `)
      .replace(/<\/(h[1-6]|p|div|section|dl|ul|ol|table|blockquote)>|<(p|dl|ul|ol|table|dt|dd)\b[^>]*>/g, '\n\n')
      .replace(/<(br|tr|li)\b[^>]*>/g, '\n')
      .replace(/<\/t[dh]>/g, ' ')
      .replace(/<[^>]*>/g, ''),
  )
    .replace(/[ \t]+\n/g, '\n')
    .replace(/\n (?=\S)/g, '\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim();
}

export const lineOf = (html: string) =>
  textOf(html)
    .replace(/^#+ |\s+/g, ' ')
    .trim();

function unescaped(text: string): string {
  return text.replace(/&(#\d+|#x[\da-f]+|\w+);/gi, (whole, name: string) => {
    if (name.startsWith('#x')) return String.fromCodePoint(parseInt(name.slice(2), 16));
    if (name.startsWith('#')) return String.fromCodePoint(Number(name.slice(1)));
    return NAMED[name] ?? whole;
  });
}
