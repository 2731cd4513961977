import { parse, type DefaultTreeAdapterTypes } from 'parse5';

type Node = DefaultTreeAdapterTypes.Node;
type Element = DefaultTreeAdapterTypes.Element;

export interface HtmlText {
  title: string | undefined;
  /** Markdown: headings, lists, tables, quotations and code stay what they are. */
  text: string;
}

const DROPPED = new Set(
  'script style noscript template nav iframe svg canvas object form button select textarea dialog'.split(' '),
);
/** Of DocBook, Sphinx and others. */
const NAVIGATION = /(?:^|\s)(?:navheader|navfooter|toc|sphinxsidebar|breadcrumbs?|headerlink)(?:\s|$)/;
const ASIDE = /(?:^|\s)(?:note|tip|warning|caution|important|admonition)(?:\s|$)/;
const BLOCKS = new Set(
  'address article aside body blockquote dd details div dl dt fieldset figcaption figure footer header hr html legend li main ol p pre section summary table ul'.split(
    ' ',
  ),
);
const HEADING = /^h([1-6])$/;

/** The text of a page as Markdown, without what only leads elsewhere. */
export function htmlText(html: string): HtmlText {
  const page = new Page();
  walk(parse(html), page);
  return { title: page.title, text: page.text };
}

/** Without recursion: nothing keeps a page from being nested deeper than a stack is. */
function walk(root: Node, page: Page): void {
  const open: { node: Node; next: number }[] = [{ node: root, next: 0 }];
  while (open.length > 0) {
    const top = open.at(-1)!;
    const child = 'childNodes' in top.node ? top.node.childNodes[top.next++] : undefined;
    if (!child) {
      open.pop();
      if ('tagName' in top.node) page.leave(top.node);
    } else if (child.nodeName === '#text') page.add((child as DefaultTreeAdapterTypes.TextNode).value);
    else if ('tagName' in child && !isDropped(child)) {
      page.enter(child);
      open.push({ node: child, next: 0 });
    }
  }
}

function isDropped(element: Element): boolean {
  return (
    DROPPED.has(element.tagName) ||
    attribute(element, 'role') === 'navigation' ||
    attribute(element, 'hidden') !== undefined ||
    NAVIGATION.test(attribute(element, 'class') ?? '')
  );
}

/** The heading of a note is none of a section. */
function isAside({ parentNode }: Element): boolean {
  return parentNode !== null && 'attrs' in parentNode && ASIDE.test(attribute(parentNode, 'class') ?? '');
}

const attribute = ({ attrs }: Element, name: string) => attrs.find((each) => each.name === name)?.value;
const inOneLine = (text: string) => text.replace(/\s+/g, ' ').trim();

/** What a page says, block by block. */
class Page {
  title: string | undefined;
  private readonly blocks: string[] = [];
  private inline = '';
  private pre = 0;
  /** What each line of a block begins with: quotation marks and the indent of lists. */
  private readonly prefixes: { first: string; rest: string }[] = [];
  private readonly lists: number[] = [];
  /** Of the table that is being read; a table in a table is text of its cell. */
  private cells: string[] | undefined;
  private tables = 0;
  private rows = 0;

  get text(): string {
    return this.blocks.join('').trim();
  }

  add(text: string): void {
    this.inline += this.pre > 0 ? text : text.replace(/\s+/g, ' ');
  }

  enter(element: Element): void {
    const { tagName } = element;
    if (tagName === 'br') this.inline += this.tables > 0 ? ' ' : '\n';
    else if (tagName === 'img') this.inline += attribute(element, 'alt') ?? '';
    else if (tagName === 'title') this.inline = '';
    if (this.tables > 0) {
      if (tagName === 'table') this.tables++;
      else if (tagName === 'tr' && this.tables === 1) this.cells = [];
      else if ((tagName === 'td' || tagName === 'th') && this.tables === 1) this.inline = '';
      else if (BLOCKS.has(tagName)) this.inline += ' ';
      return;
    }
    if (!BLOCKS.has(tagName) && !HEADING.test(tagName)) return;
    this.flush();
    if (tagName === 'pre') this.pre++;
    else if (tagName === 'table') [this.tables, this.rows] = [1, 0];
    else if (tagName === 'ul' || tagName === 'ol') this.lists.push(tagName === 'ol' ? 1 : 0);
    else if (tagName === 'li') this.prefixes.push(this.bullet());
    else if (tagName === 'blockquote') this.prefixes.push({ first: '> ', rest: '> ' });
  }

  leave(element: Element): void {
    const { tagName } = element;
    const level = HEADING.exec(tagName)?.[1];
    if (this.tables > 0) {
      if (tagName === 'table' && --this.tables === 0) this.endTable();
      else if ((tagName === 'td' || tagName === 'th') && this.tables === 1) this.endCell();
      else if (tagName === 'tr' && this.tables === 1) this.endRow();
    } else if (tagName === 'title') {
      this.title ??= inOneLine(this.inline) || undefined;
      this.inline = '';
    } else if (level && isAside(element)) this.flush('', '\n');
    else if (level) this.flush(`${'#'.repeat(Number(level))} `);
    else if (tagName === 'pre') this.endCode();
    else if (BLOCKS.has(tagName)) {
      this.flush('', tagName === 'dt' ? '\n' : '\n\n');
      if (tagName === 'ul' || tagName === 'ol') this.lists.pop();
      else if (tagName === 'li' || tagName === 'blockquote') this.prefixes.pop();
    }
  }

  private bullet(): { first: string; rest: string } {
    const nr = this.lists.at(-1) ?? 0;
    if (nr > 0) this.lists[this.lists.length - 1] = nr + 1;
    const first = nr > 0 ? `${nr}. ` : '- ';
    return { first, rest: ' '.repeat(first.length) };
  }

  /** Ends a block. @param mark of a heading, which is one line */
  private flush(mark = '', after = '\n\n'): void {
    const lines = this.inline
      .split('\n')
      .map(inOneLine)
      .filter((line) => line !== '');
    this.inline = '';
    if (lines.length > 0) this.put(mark ? [mark + lines.join(' ')] : lines, after);
  }

  private put(lines: readonly string[], after = '\n\n'): void {
    const prefixed = lines.map((line) => this.prefix() + line);
    this.blocks.push(prefixed.join('\n').replace(/[ \t]$/gm, ''), after);
  }

  private prefix(): string {
    const prefix = this.prefixes.map(({ first }) => first).join('');
    for (const each of this.prefixes) each.first = each.rest;
    return prefix;
  }

  private endCode(): void {
    this.pre--;
    const code = this.inline.replace(/^\r?\n/, '').trimEnd();
    this.inline = '';
    if (code === '') return;
    const longest = Math.max(2, ...[...code.matchAll(/`{3,}/g)].map(([run]) => run.length));
    const fence = '`'.repeat(longest + 1);
    this.put([fence, ...code.split('\n'), fence]);
  }

  private endCell(): void {
    this.cells?.push(inOneLine(this.inline).replaceAll('|', '\\|'));
    this.inline = '';
  }

  private endTable(): void {
    this.inline = '';
    if (this.rows > 0) this.blocks.push('\n');
  }

  private endRow(): void {
    const cells = this.cells ?? [];
    this.cells = undefined;
    if (cells.every((cell) => cell === '')) return;
    const row = (values: string[]) => `| ${values.join(' | ')} |`;
    if (this.rows++ === 0) this.put([row(cells), row(cells.map(() => '---'))], '\n');
    else this.put([row(cells)], '\n');
  }
}
