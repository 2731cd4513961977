/** One statement of a file. */
export interface Statement {
  /** As it stands there, without the semicolon. */
  readonly text: string;
  /** The same without comments, on one line. */
  readonly code: string;
  /** Where its first word is, counted from 1. */
  readonly line: number;
}

/** What is not to be looked into: comments, strings, quoted names, dollar-quoted bodies. In this order: whoever begins first ends first. */
const CLOSED = /--[^\n]*|\/\*|[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(?:[A-Za-z_][A-Za-z_0-9]*)?\$|;/g;

/**
 * The statements of a script, as PostgreSQL's lexer would tell them apart (manual, 4.1 Lexical Structure). Bodies by BEGIN ATOMIC
 * are not known here: write them between dollars.
 * @param firstLine the number of the script's first line
 * @throws SyntaxError where something is not closed
 */
export function statementsIn(script: string, firstLine = 1): Statement[] {
  const found: Statement[] = [];
  let [begin, code] = [0, ''];
  let from = 0; // of the text that is not yet in `code`
  const end = (at: number) => {
    code += script.slice(from, at);
    const words = code.replace(/\s+/g, ' ').trim();
    if (words !== '') found.push(statementOf(script, begin, at, words, firstLine));
    [begin, from, code] = [at + 1, at + 1, ''];
  };
  CLOSED.lastIndex = 0;
  for (let match = CLOSED.exec(script); match; match = CLOSED.exec(script)) {
    const [token] = match;
    const { index } = match;
    if (token === ';') end(index);
    else if (token.startsWith('--') || token === '/*') {
      code += `${script.slice(from, index)} `;
      from = token === '/*' ? endOfComment(script, index) : index + token.length;
      CLOSED.lastIndex = from;
    } else if (token.startsWith('$') && !/\w/.test(script[index - 1] ?? '')) {
      const close = script.indexOf(token, index + token.length);
      if (close < 0) throw new SyntaxError(`${token} of line ${lineAt(script, index, firstLine)} is not closed`);
      CLOSED.lastIndex = close + token.length;
    }
  }
  end(script.length);
  return found;
}

function statementOf(script: string, begin: number, end: number, code: string, firstLine: number): Statement {
  const text = script.slice(begin, end);
  const blank = /^(?:\s+|--[^\n]*|\/\*[^]*?\*\/)*/.exec(text)![0].length;
  return { text: text.trim(), code, line: lineAt(script, begin + blank, firstLine) };
}

const lineAt = (script: string, at: number, firstLine: number) => firstLine + script.slice(0, at).split('\n').length - 1;

/** Comments may be nested. */
function endOfComment(script: string, begin: number): number {
  const edge = /\/\*|\*\//g;
  edge.lastIndex = begin;
  for (let depth = 0; ;) {
    const match = edge.exec(script);
    if (!match) throw new SyntaxError('A comment is not closed');
    depth += match[0] === '/*' ? 1 : -1;
    if (depth === 0) return edge.lastIndex;
  }
}
