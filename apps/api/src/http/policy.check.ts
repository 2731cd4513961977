import { Injectable, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { POLICY, type Rule } from './policy';

/** The key under which Nest keeps the path of a route. */
const PATH = 'path';

/** Nothing is served that the policy table does not know, and it knows nothing that is not served. */
@Injectable()
export class PolicyCheck implements OnModuleInit {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
  ) {}

  onModuleInit(): void {
    const operations = this.discovery.getControllers().flatMap(({ metatype }) => {
      const { prototype } = metatype as { prototype: Record<string, object> };
      return this.scanner.getAllMethodNames(prototype).filter((name) => Reflect.hasMetadata(PATH, prototype[name]!));
    });
    assertComplete(operations, POLICY);
  }
}

/** @throws Error that names what is missing, superfluous or twice */
export function assertComplete(operations: readonly string[], policy: Record<string, Rule>): void {
  const faults = [
    ...operations.filter((name) => !Object.hasOwn(policy, name)).map((name) => `${name} has no entry`),
    ...operations.filter((name, at) => operations.indexOf(name) !== at).map((name) => `two operations are called ${name}`),
    ...Object.keys(policy)
      .filter((name) => !operations.includes(name))
      .map((name) => `there is no operation ${name}`),
  ];
  if (faults.length > 0) throw new Error(`apps/api/src/http/policy.ts is not the table of this API: ${faults.join('; ')}.`);
}
