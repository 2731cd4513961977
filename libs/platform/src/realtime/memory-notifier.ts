import type { Notifier } from './notifier';

/** For the embedded way to run: there is no other process. */
export class MemoryNotifier implements Notifier {
  private readonly listeners = new Map<string, (xid: string) => void>();

  tell(learnerId: string, xid: string): void {
    this.listeners.get(learnerId)?.(xid);
  }

  listen(learnerId: string, hear: (xid: string) => void): void {
    this.listeners.set(learnerId, hear);
  }

  ignore(learnerId: string): void {
    this.listeners.delete(learnerId);
  }
}
