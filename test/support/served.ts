import { waysToRun } from './api-process';

const served = waysToRun.find(({ name }) => name === 'served');

/** For what is nothing without servers: left out on a machine that has none, which in CI is a failure. */
export const describeServed = served ? describe : describe.skip;
export const itServed = served ? it : it.skip;

/** A place for processes that share servers. Only within the above. */
export const openServed = () => served!.open();
