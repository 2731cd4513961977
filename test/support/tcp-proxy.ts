import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** What becomes of what is sent through the proxy, in both directions. */
export type Fault =
  | { kind: 'none' }
  /** Everything comes so much later, in order. */
  | { kind: 'latency'; ms: number }
  /** At most so many bytes a second, each way, on each connection. */
  | { kind: 'slow'; bytesPerSecond: number }
  /** Connections are accepted and stay, and nothing comes through any more: the other end is gone and nobody has said so. */
  | { kind: 'half-open' }
  /** The next answer breaks off after so many bytes, and its connection is reset. */
  | { kind: 'truncated'; bytes: number }
  /** No connection is accepted; those that are there are reset. */
  | { kind: 'refuse' };

const HEALTHY: Fault = { kind: 'none' };
const DRIPS_A_SECOND = 50;

/**
 * Stands before a server and does to what passes what networks do. A TCP stream never loses bytes in its middle: a connection that
 * has swallowed any is reset when the fault is over, as a host does that is back and does not know it.
 */
export class TcpProxy {
  private fault: Fault = HEALTHY;
  private readonly pairs = new Set<Pair>();
  private readonly server = createServer({ allowHalfOpen: true }, (client) => this.accept(client));
  private address?: AddressInfo;

  private constructor(private readonly target: number) {}

  static async before(targetPort: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetPort);
    await proxy.listen(0);
    return proxy;
  }

  get port(): number {
    return this.address!.port;
  }

  /** How many connections pass through it. */
  get connections(): number {
    return this.pairs.size;
  }

  /** From now on this happens to what passes. */
  async set(fault: Fault): Promise<void> {
    this.fault = fault;
    for (const pair of this.pairs) if (fault.kind === 'refuse' || (fault.kind !== 'half-open' && pair.hasLost)) pair.reset();
    if (fault.kind === 'refuse') await this.stopListening();
    else if (!this.server.listening) await this.listen(this.port);
  }

  heal(): Promise<void> {
    return this.set(HEALTHY);
  }

  /** Nothing comes through the connections that are there any more; others pass. So does a NAT that has forgotten them. */
  forget(): void {
    for (const pair of this.pairs) pair.hasLost = true;
  }

  /** Ends all connections without a word, once. */
  reset(): void {
    for (const pair of this.pairs) pair.reset();
  }

  async close(): Promise<void> {
    this.reset();
    await this.stopListening();
  }

  private async listen(port: number): Promise<void> {
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
    this.address = this.server.address() as AddressInfo;
  }

  private async stopListening(): Promise<void> {
    if (!this.server.listening) return;
    const closed = once(this.server, 'close');
    this.server.close();
    this.reset(); // it closes when the last one has ended
    await closed;
  }

  private accept(client: Socket): void {
    const pair = new Pair(client, connect({ port: this.target, host: '127.0.0.1', allowHalfOpen: true }), () => this.fault);
    this.pairs.add(pair);
    void pair.ended.then(() => this.pairs.delete(pair));
  }
}

/** A client's connection and the one to the server behind it. */
class Pair {
  hasLost = false;
  readonly ended: Promise<unknown>;

  constructor(
    private readonly client: Socket,
    private readonly server: Socket,
    private readonly fault: () => Fault,
  ) {
    this.ended = Promise.all(
      [client, server].map((socket) => new Promise<void>((ended) => socket.once('close', () => ended()))),
    );
    for (const socket of [client, server]) socket.setNoDelay(true).on('error', () => this.reset());
    this.join(client, server, false);
    this.join(server, client, true);
  }

  reset(): void {
    for (const socket of [this.client, this.server]) {
      if (socket.writableEnded)
        socket.destroy(); // libuv refuses to reset what is being shut down, and would never close it
      else if (!socket.destroyed) socket.resetAndDestroy();
    }
  }

  /** What waits holds up what comes behind it, as on a line. */
  private join(from: Socket, to: Socket, isAnswer: boolean): void {
    let line: Promise<unknown> = Promise.resolve();
    from.on('data', (chunk: Buffer) => {
      const arrived = performance.now();
      line = line.then(() => this.pass(chunk, arrived, to, isAnswer));
    });
    from.on('end', () => {
      line = line.then(() => this.isSwallowed() || to.end());
    });
  }

  private async pass(chunk: Buffer, arrived: number, to: Socket, isAnswer: boolean): Promise<void> {
    const fault = this.fault();
    if (this.isSwallowed() || to.destroyed) return;
    if (fault.kind === 'latency') await sleep(Math.max(0, arrived + fault.ms - performance.now()));
    if (fault.kind === 'slow') return this.drip(chunk, to);
    if (fault.kind === 'truncated' && isAnswer) to.write(chunk.subarray(0, fault.bytes), () => this.reset());
    else to.write(chunk);
  }

  /** Once something is lost, whatever comes after it is lost too. */
  private isSwallowed(): boolean {
    return (this.hasLost ||= this.fault().kind === 'half-open');
  }

  private async drip(chunk: Buffer, to: Socket): Promise<void> {
    for (let at = 0; at < chunk.length && !to.destroyed;) {
      const fault = this.fault();
      if (this.isSwallowed()) return;
      const size = fault.kind === 'slow' ? Math.ceil(fault.bytesPerSecond / DRIPS_A_SECOND) : chunk.length;
      if (fault.kind === 'slow') await sleep(1000 / DRIPS_A_SECOND);
      to.write(chunk.subarray(at, (at += size)));
    }
  }
}
