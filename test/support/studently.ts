import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { join } from 'node:path';
import { dataFolderOf } from './data-folder';

export const CLI = join(__dirname, '../../dist/cli.js');

export interface Ended {
  code: number | null;
  out: string;
  err: string;
}

/** The built `studently` command, under way. */
export class StudentlyProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;

  constructor(settings: NodeJS.ProcessEnv, args: string[], options: SpawnOptions = {}) {
    this.child = spawn(process.execPath, [CLI, ...args], {
      ...options,
      env: { PATH: process.env['PATH'], ...dataFolderOf(settings), ...settings },
    });
    let [out, err] = ['', ''];
    this.child.stdout!.on('data', (chunk: Buffer) => (out += chunk.toString()));
    this.child.stderr!.on('data', (chunk: Buffer) => (err += chunk.toString()));
    this.ended = new Promise((resolve) => this.child.once('close', (code) => resolve({ code, out, err })));
  }
}

/** Runs it to its end. */
export const studently = (settings: NodeJS.ProcessEnv, ...args: string[]): Promise<Ended> =>
  new StudentlyProcess(settings, args, { stdio: ['ignore', 'pipe', 'pipe'] }).ended;
