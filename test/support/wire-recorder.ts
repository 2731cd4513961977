import { connect, createServer, type Socket } from 'node:net';

/** Stands between a client and a server on this machine and keeps every byte of both directions. */
export class WireRecorder {
  private readonly chunks: Buffer[] = [];
  private readonly sockets = new Set<Socket>();
  private constructor(
    readonly port: number,
    private readonly stop: () => void,
  ) {}

  static async start(serverPort: number): Promise<WireRecorder> {
    return new Promise((resolve) => {
      const server = createServer((client) => {
        const upstream = connect(serverPort, '127.0.0.1');
        for (const [from, to] of [
          [client, upstream],
          [upstream, client],
        ] as const) {
          recorder.sockets.add(from);
          from.on('data', (chunk) => recorder.chunks.push(chunk));
          from.on('error', () => to.destroy());
          from.on('close', () => to.destroy());
          from.pipe(to);
        }
      });
      let recorder: WireRecorder;
      server.listen(0, '127.0.0.1', () => {
        recorder = new WireRecorder((server.address() as { port: number }).port, () => server.close());
        resolve(recorder);
      });
    });
  }

  get bytes(): number {
    return Buffer.concat(this.chunks).length;
  }

  has(text: string): boolean {
    return Buffer.concat(this.chunks).includes(text);
  }

  close(): void {
    this.stop();
    for (const socket of this.sockets) socket.destroy();
  }
}
