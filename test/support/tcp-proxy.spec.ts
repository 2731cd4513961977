import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { TcpProxy } from './tcp-proxy';

describe('A TCP proxy', () => {
  let server: Server;
  let proxy: TcpProxy;
  let held: Socket[] = [];
  beforeEach(async () => {
    // It answers with what it is sent.
    server = createServer((socket) => {
      held.push(socket.on('error', () => undefined));
      socket.pipe(socket);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    proxy = await TcpProxy.before((server.address() as AddressInfo).port);
  });
  afterEach(async () => {
    await proxy.close();
    for (const socket of held) socket.destroy();
    held = [];
    server.close();
  });

  class Line {
    text = '';
    error?: string;
    readonly closed: Promise<unknown>;
    constructor(readonly socket: Socket) {
      socket.on('data', (chunk: Buffer) => (this.text += chunk.toString()));
      socket.on('error', (error: NodeJS.ErrnoException) => (this.error = error.code));
      this.closed = new Promise((resolve) => socket.once('close', resolve));
    }
    async until(text: string): Promise<void> {
      while (this.text !== text && !this.socket.destroyed) await once(this.socket, 'data');
      expect(this.text).toBe(text);
    }
  }
  async function open(): Promise<Line> {
    const line = new Line(connect(proxy.port, '127.0.0.1'));
    await once(line.socket, 'connect');
    return line;
  }

  it('passes on what both sides say, and the end', async () => {
    const line = await open();
    line.socket.write('one');
    await line.until('one');
    expect(proxy.connections).toBe(1);
    line.socket.end('two');
    await line.closed;
    expect(line.text).toBe('onetwo');
    while (proxy.connections > 0) await sleep(5);
  });

  it('delays each byte, and loses the order of none', async () => {
    const line = await open();
    await proxy.set({ kind: 'latency', ms: 50 });
    const started = performance.now();
    for (const word of ['a', 'b', 'c']) {
      line.socket.write(word);
      await sleep(5);
    }
    await line.until('abc');
    expect(performance.now() - started).toBeGreaterThan(95); // there and back
  });

  it('lets so many bytes a second through, until it is healed', async () => {
    const line = await open();
    await proxy.set({ kind: 'slow', bytesPerSecond: 500 });
    const started = performance.now();
    line.socket.write('x'.repeat(100));
    await line.until('x'.repeat(100));
    expect(performance.now() - started).toBeGreaterThan(190);
    line.socket.write('y'.repeat(100_000));
    await sleep(50);
    await proxy.heal();
    await line.until('x'.repeat(100) + 'y'.repeat(100_000));
  });

  it('accepts and swallows while it is half-open, and resets afterwards what has lost something, only that', async () => {
    const [talker, listener] = [await open(), await open()];
    await proxy.set({ kind: 'half-open' });
    const late = await open();
    for (const line of [talker, late]) line.socket.write('lost');
    await sleep(50);
    expect([talker.text, late.text, talker.socket.destroyed, late.socket.destroyed]).toEqual(['', '', false, false]);
    await proxy.heal();
    await Promise.all([talker.closed, late.closed]);
    expect(talker.error).toBe('ECONNRESET');
    listener.socket.write('heard');
    await listener.until('heard');
  });

  it('swallows what comes on the connections that it has forgotten, and passes on what comes on others', async () => {
    const forgotten = await open();
    proxy.forget();
    const other = await open();
    for (const line of [forgotten, other]) line.socket.write('one');
    await other.until('one');
    await sleep(50);
    expect([forgotten.text, forgotten.socket.destroyed]).toEqual(['', false]);
  });

  it('breaks an answer off in its middle', async () => {
    const line = await open();
    await proxy.set({ kind: 'truncated', bytes: 3 });
    line.socket.write('truncated');
    await line.closed;
    expect(line.text).toBe('tru');
  });

  it('refuses, and is there again on the same port', async () => {
    const line = await open();
    const { port } = proxy;
    await proxy.set({ kind: 'refuse' });
    await line.closed;
    await expect(open()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await proxy.heal();
    expect(proxy.port).toBe(port);
    const again = await open();
    again.socket.write('again');
    await again.until('again');
  });

  it('resets what is there, once', async () => {
    const line = await open();
    proxy.reset();
    await line.closed;
    expect(line.error).toBe('ECONNRESET');
    const again = await open();
    again.socket.write('again');
    await again.until('again');
  });

  it('lets go of a client whose server is not there', async () => {
    server.close();
    const line = await open();
    await line.closed;
    expect(proxy.connections).toBe(0);
  });
});
