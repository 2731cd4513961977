export default async function globalTeardown(): Promise<void> {
  await globalThis.servers?.redis.stop();
  await globalThis.servers?.postgres.remove();
}
