/**
 * Machines that share a build cache, in a process of their own, without `go` and without a cache program: they ask what those
 * would ask, and throw away what comes. So that many fit on the two cores that the server has.
 */

import type { BuildOutput } from './build-outputs.ts';
import { inChild } from './child.ts';

export type Machines = {
  readonly url: string;
  readonly kind: 'astera' | 'gocached';
  /**
   * `first`: puts the outputs of a build that nobody has put before. `second`: gets them all; from Astera by one stream, and an
   * eighth of them, which the stream has not brought in time, one by one. `gets`: one by one, two at a time as `go` on two cores.
   */
  readonly role: 'first' | 'second' | 'gets';
  /** Behind a line that is not loopback: what is sent is packed. */
  readonly isFar: boolean;
  readonly machines: number;
  /** The number of the first machine, whose outputs are its own. Undefined: all have the build's own outputs. */
  readonly firstNumber: number | undefined;
  readonly outputs: readonly BuildOutput[];
};

export type MachinesResult = {
  readonly wallMs: number;
  readonly requests: number;
  /** Requests that failed, and answers of other statuses than 200 and 201. */
  readonly errors: number;
  /** Of answers. */
  readonly bodyBytes: number;
};

export function runMachines(machines: Machines): Promise<MachinesResult> {
  return inChild('machines-main.ts', machines);
}
