import fc from 'fast-check';
import { bytesOf } from './sizes';
import { LEAST_MEMORY, mostMemory, readWishes, Tuning, tune, WORKLOADS, type Machine } from './tuning';

const machines = fc.record<Machine>({
  memory: fc.bigInt({ min: BigInt(LEAST_MEMORY), max: 2n ** 42n }).map(Number),
  cpus: fc.integer({ min: 1, max: 256 }),
  workload: fc.constantFrom(...WORKLOADS),
  processes: fc.integer({ min: 1, max: 50 }),
  poolSize: fc.integer({ min: 1, max: 30 }),
});

describe('tune', () => {
  it('DB-6 DB-7 DB-8 DB-9 fits every machine or says that it does not, and is valid data', () => {
    let fitting = 0;
    fc.assert(
      fc.property(machines, (machine) => {
        let tuning: Tuning;
        try {
          tuning = tune(machine);
        } catch (error) {
          expect(error).toMatchObject({ code: 'TUNING_OVER_BUDGET' });
          return;
        }
        fitting++;
        expect(Tuning.parse(tuning)).toEqual(tuning);
        expect(mostMemory(tuning)).toBeLessThan(machine.memory);
        expect(tuning.maxConnections).toBe(machine.processes * (machine.poolSize + 2) + 3 + 5);
        expect(bytesOf(tuning.workMem)).toBeGreaterThanOrEqual(1024 ** 2);
      }),
    );
    expect(fitting).toBeGreaterThan(50);
  });

  it('DB-6 gives 8 GB with 4 CPUs what the seed asks for', () => {
    const machine: Machine = { memory: 8 * 1024 ** 3, cpus: 4, workload: 'mixed', processes: 5, poolSize: 10 };
    expect(tune(machine)).toMatchObject({
      maxConnections: 68,
      sharedBuffers: '2GB',
      workMem: '16MB',
      maintenanceWorkMem: '512MB',
    });
    expect(tune({ ...machine, workload: 'search' })).toMatchObject({ sharedBuffers: '3276MB', maintenanceWorkMem: '1GB' });
  });

  it('has what is wished for followed by the rest', () => {
    const machine: Machine = { memory: 8 * 1024 ** 3, cpus: 4, workload: 'mixed', processes: 5, poolSize: 10 };
    expect(tune(machine, { sharedBuffers: '5GB' })).toMatchObject({ sharedBuffers: '5GB', workMem: '1MB' });
    expect(tune(machine, { superuserReservedConnections: 10 })).toMatchObject({ maxConnections: 75 });
  });

  it('DB-7 DB-8 refuses a banana, and names every fault', () => {
    const wrong = { sharedBuffers: 'banana', workMem: 16, maxConnections: '50', colour: 'red' };
    expect(() => readWishes(wrong)).toThrow(/sharedBuffers[^]*workMem|workMem[^]*sharedBuffers/);
    expect(() => readWishes(wrong)).toThrow(/maxConnections/);
    expect(() => readWishes(wrong)).toThrow(/colour/);
    expect(readWishes({ workMem: '16MB' })).toEqual({ workMem: '16MB' });
  });

  it('DB-8 refuses what does not fit: work_mem × max_connections + shared_buffers is below the memory, connections are enough', () => {
    const machine: Machine = { memory: 8 * 1024 ** 3, cpus: 4, workload: 'mixed', processes: 5, poolSize: 10 };
    expect(() => tune(machine, { workMem: '1GB' })).toThrow(/68 × work_mem 1GB .* = \d+MB, of 8192MB/);
    const fault = /maxConnections 40 is below 5 × \(10 \+ 2\) \+ 3 reserved \+ 5 for operators = 68/;
    expect(() => tune(machine, { maxConnections: 40 })).toThrow(fault);
  });
});
