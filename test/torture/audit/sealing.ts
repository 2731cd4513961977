import { MikroORM } from '@mikro-orm/postgresql';
import { Counter, Gauge, type Registry } from 'prom-client';
import { AuditKeys, AuditSealer, Database, type DatabaseTarget, type Settings } from '@studently/platform';
import { ormOptions } from '../../../libs/platform/src/persistence/connection';
import { Replicas } from '../../../libs/platform/src/persistence/replicas';

/** The platform's own sealer, which seals when it is told to. */
export async function sealerOn(target: DatabaseTarget, settings: Settings, registry: Registry) {
  const orm = await MikroORM.init({ ...ormOptions(target, 2), entities: [] });
  const database = new Database(orm, target, new Replicas());
  const metric = { help: 'of this run', registers: [registry] };
  const sealer = new AuditSealer(
    database,
    new AuditKeys(settings),
    settings,
    false,
    new Gauge({ name: 'unsealed', ...metric }),
    new Counter({ name: 'sealed', ...metric }),
    new Counter({ name: 'failed', ...metric }),
  );
  return { seal: () => sealer.seal(), close: () => orm.close(true) };
}
