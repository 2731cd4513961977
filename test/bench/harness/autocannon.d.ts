declare module 'autocannon' {
  /** As much of it as the benchmarks use. */
  interface Client {
    setRequests(requests: object[]): void;
  }
  interface Instance extends Promise<{ errors: number; timeouts: number; non2xx: number }> {
    on(event: 'response', listener: (client: Client, status: number, bytes: number, milliseconds: number) => void): void;
  }
  export default function autocannon(options: {
    url: string;
    connections: number;
    duration: number;
    idReplacement: boolean;
    setupClient(client: Client): void;
  }): Instance;
}
