import { commandOptions, type RedisClientType } from 'redis4';
import { RedisLink } from './redis-link';

/** A server that holds keys. */
export interface RedisNode {
  /**
   * One command, whose keys share a cluster slot. Texts in its answer are bytes.
   * @throws at once while the server is lost, after 300 ms if it does not answer, and what it answers in its errors
   */
  send(command: string, ...words: (string | Buffer)[]): Promise<unknown>;
}

/** Redis as our stores speak to it, be it one server or a cluster. */
export interface RedisClient extends RedisNode {
  /** Whether the keys of one command may be any. Those of a cluster share a slot. */
  readonly takesAnyKeys: boolean;
  /** Which run of which server has answered for this key; undefined: none. What another one was told may be missing in it. */
  runOf(key: string): string | undefined;
  /** All servers that hold keys. @throws if one of them is not connected */
  nodes(): RedisNode[];
}

const AS_BYTES = commandOptions({ returnBuffers: true });

/** One server, by the client that cache-manager-redis-yet brings. */
export class SingleRedis implements RedisClient {
  readonly takesAnyKeys = true;
  private readonly link: RedisLink;

  constructor(client: RedisClientType) {
    this.link = RedisLink.over(client);
  }

  send(command: string, ...words: (string | Buffer)[]): Promise<unknown> {
    return this.link.ask((client) => client.sendCommand([command, ...words], AS_BYTES));
  }

  runOf(): string | undefined {
    return this.link.run;
  }

  nodes(): RedisNode[] {
    return [this];
  }
}
