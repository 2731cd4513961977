import {
  slowExecutions,
  StatementHistory,
  statementTimes,
  type SlowExecution,
  type StatementTimes,
} from '@studently/operations';
import { Database } from '@studently/platform';
import type { Command } from 'commander';
import { columns } from './columns';
import { withContexts } from './with-contexts';

const FINDINGS = 2;
const MOST = 20;

/** studently slow */
export function addSlow(program: Command): void {
  program
    .command('slow')
    .description(
      'Which statements take the time, and which are slower than in the week before (exit 2 if any is); ' +
        'and the latest that took longer than SLOW_STATEMENT_MS, with their requests and plans. No value of a learner is in any of it.',
    )
    .argument('[request or statement]', 'the executions of one X-Request-Id, or of one statement, in full')
    .addHelpText('after', '\nExample:\n  npx studently slow\n  npx studently slow 099c9f60-f903-4b76-9b70-fa729941888a')
    .action(async (of: string | undefined) => {
      const { statements, executions } = await withContexts(async (app) => {
        const database = app.get(Database);
        await new StatementHistory(database).count();
        return {
          statements: of === undefined ? await statementTimes(database, MOST) : [],
          executions: await slowExecutions(database, of, MOST),
        };
      });
      const isForMachines = program.opts<{ json?: boolean }>().json;
      const answer = of === undefined ? { statements, executions } : { executions };
      const text =
        of === undefined ? overview(statements, executions) : executions.map(inFull).join('\n\n') || `Nothing slow of ${of}.`;
      process.stdout.write(`${isForMachines ? JSON.stringify(answer) : text}\n`);
      if (statements.some(({ isSlower }) => isSlower)) process.exitCode = FINDINGS;
    });
}

const brief = (sql: string) => (sql.length > 70 ? `${sql.slice(0, 69)}…` : sql);
const ms = (milliseconds: number) => milliseconds.toFixed(milliseconds < 10 ? 2 : 0);

function overview(statements: StatementTimes[], executions: SlowExecution[]): string {
  const times = statements.map(({ statement, calls, mean, share, before, isSlower, sql }) => [
    statement,
    calls.toLocaleString('en'),
    `${ms(mean)} ms`,
    `${(share * 100).toFixed(1)} %`,
    before === null ? '' : `${ms(before)} ms`,
    isSlower && before !== null ? `SLOWER × ${(mean / before).toFixed(1)}` : '',
    brief(sql),
  ]);
  const slow = executions.map(({ at, requestId, statement, milliseconds, outcome, plan, sql }) => [
    at,
    requestId ?? '(the platform itself)',
    `${milliseconds.toLocaleString('en')} ms`,
    outcome,
    plan === null ? '' : 'plan',
    statement,
    brief(sql),
  ]);
  return [
    'The last 24 hours, by time:',
    columns(['statement', 'calls', 'mean', 'of all time', 'week before', '', ''], times),
    '',
    slow.length === 0
      ? 'None took longer than SLOW_STATEMENT_MS.'
      : `The latest slow ones:\n${columns(['at', 'request', 'took', 'outcome', '', 'statement', ''], slow)}`,
  ].join('\n');
}

function inFull({ at, requestId, statement, milliseconds, outcome, plan, sql }: SlowExecution): string {
  const head = `${at}  ${milliseconds.toLocaleString('en')} ms  ${outcome}  statement ${statement}`;
  const told =
    plan === null
      ? 'No plan: auto_explain does not tell it, or the statement was ended before its end.'
      : planText(plan as PlanNode);
  return `${head}\nrequest ${requestId ?? '(the platform itself)'}\n${sql}\n${told}`;
}

interface PlanNode {
  'Node Type': string;
  'Total Cost'?: number;
  'Index Name'?: string;
  'Relation Name'?: string;
  'Plan Rows'?: number;
  Plans?: PlanNode[];
  [detail: string]: unknown;
}

const SHOWN = ['Index Cond', 'Hash Cond', 'Merge Cond', 'Join Filter', 'Recheck Cond', 'Filter', 'Sort Key', 'Order By'];

/** As EXPLAIN writes it. */
function planText(node: PlanNode, depth = 0): string {
  const indent = '  '.repeat(depth);
  const on = [node['Index Name'] && `using ${node['Index Name']}`, node['Relation Name'] && `on ${node['Relation Name']}`];
  const details = SHOWN.filter((name) => node[name] !== undefined).map(
    (name) => `\n${indent}    ${name}: ${String(node[name])}`,
  );
  const cost = `(cost ${node['Total Cost'] ?? '?'}, rows ${node['Plan Rows'] ?? '?'})`;
  const line = `${indent}→ ${[node['Node Type'], ...on.filter(Boolean), cost].join(' ')}${details.join('')}`;
  return [line, ...(node.Plans ?? []).map((child) => planText(child, depth + 1))].join('\n');
}
