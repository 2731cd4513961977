/**
 * Put before the API of a release, this breaks the protocol of freshness in the way that PLANTED_BUG names: the checker has to find it.
 * The product itself knows nothing of it.
 */
const { setTimeout: sleep } = require('node:timers/promises');

const AS_IF_BUSY_MS = 20;

const BUGS = {
  /** What a reader loads between the forgetting and the commit is old, and stays. */
  'forgets before the commit'() {
    const { prototype } = require('../../../dist/libs/platform/src/persistence/unit-of-work.js').UnitOfWork;
    const { attempt } = prototype;
    prototype.attempt = function (actor, work) {
      return attempt.call(this, actor, async (tx) => {
        const view = await work(tx);
        if (tx.event) await this.consumers.deliver(tx.event.topic, tx.event).catch(() => undefined);
        await sleep(AS_IF_BUSY_MS); // what is read meanwhile is kept
        return view;
      });
    };
    prototype.announce = async function (_event, { messageId }) {
      this.outbox.settle(messageId);
    };
  },

  /** A view is stored under the generation that is current then, not under the one before it was loaded. */
  'fills without the fence'() {
    const { prototype } = require('../../../dist/libs/platform/src/cache/read-models.js').ReadModels;
    prototype.load = async function (model, owner, params, valueKey) {
      const loaded = await this.query(model, owner, owner.userId, params);
      await sleep(AS_IF_BUSY_MS); // the write that it must not miss has room to commit and to be forgotten
      const tagKey = `cache:{u:${owner.userId}}:generation:${model.tag(params)}`;
      const [generation] = await this.generationAndCached(tagKey, valueKey);
      if (loaded.found && generation) await this.keep(owner.userId, valueKey, generation, loaded);
      return loaded;
    };
  },

  /** A generation is a count of forgettings that is itself forgotten after 50 ms: the first one is current again. */
  'a fence that expires'() {
    const { ReadModels } = require('../../../dist/libs/platform/src/cache/read-models.js');
    const { RedisStore } = require('../../../dist/libs/platform/src/cache/redis-store.js');
    RedisStore.prototype.delete = async function (keys) {
      await Promise.all(keys.map((key) => this.redis.send('EVAL', COUNT_FOR_50_MS, '1', key)));
    };
    ReadModels.prototype.living = function (tagKey, count) {
      return `${this.store.runOf(tagKey)}.${count ?? 0}`;
    };
    ReadModels.prototype.generationAndCached = async function (tagKey, valueKey) {
      const found = await this.fromStore([tagKey, valueKey]);
      return found ? [this.living(tagKey, found[0]), found[1]] : [];
    };
  },

  'a token that is ignored'() {
    const { prototype } = require('../../../dist/libs/platform/src/cache/read-models.js').ReadModels;
    const { get } = prototype;
    prototype.get = function (model, actor, params, options = {}) {
      return get.call(this, model, actor, params, { ...options, readToken: undefined });
    };
  },

  /** What Redis held before it was killed counts again. */
  'a generation of another run counts'() {
    require('../../../dist/libs/platform/src/cache/read-models.js').ReadModels.prototype.living = (_tagKey, generation) =>
      generation?.toString();
  },

  /** A replica is asked only for what the primary had when the process began. */
  'a read point that is kept'() {
    const { prototype } = require('../../../dist/libs/platform/src/persistence/read-points.js').ReadPoints;
    const { now } = prototype;
    prototype.now = function () {
      return (this.kept ??= now.call(this));
    };
  },
};

const COUNT_FOR_50_MS = `redis.call('INCR', KEYS[1]) return redis.call('PEXPIRE', KEYS[1], 50)`;

/** Of each bug the troubles in which it shows; without any it shows by itself. */
module.exports = {
  ...Object.fromEntries(Object.keys(BUGS).map((bug) => [bug, []])),
  'a token that is ignored': ['a process does not reach Redis'],
  'a generation of another run counts': ['Redis is killed and comes back with what it had'],
};
if (process.env.PLANTED_BUG) {
  require('reflect-metadata');
  BUGS[process.env.PLANTED_BUG]();
}
