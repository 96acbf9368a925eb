/**
 * V8's two kinds of profile as one kind of tree: calls with weights.
 *
 * Follows the domains Profiler and HeapProfiler of https://chromedevtools.github.io/devtools-protocol/v8/.
 */

import type { HeapProfiler, Profiler } from 'node:inspector';

/** A place in the code, as V8 names it. `lineNumber` counts from 0, and is -1 for a module's own code. */
export type CallFrame = {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
};

/** A call with its weights in the units of the profile, and the calls that it made. */
export type CallNode = {
  readonly frame: CallFrame;
  readonly weights: readonly number[];
  readonly children: readonly CallNode[];
};

/** The tree of a CPU profile. The weights are samples and nanoseconds; both are 0 for waiting. */
export function cpuTree({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): CallNode {
  const weights = new Map(nodes.map(({ id }) => [id, { count: 0, ns: 0 }]));
  samples.forEach((id, i) => {
    const weight = weights.get(id);
    if (weight === undefined) return;
    weight.count++;
    // V8 gives microseconds. Samples may be out of order, so a delta may be negative.
    weight.ns += Math.max(0, timeDeltas[i] ?? 0) * 1000;
  });
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const treeOf = ({ id, callFrame, children = [] }: Profiler.ProfileNode): CallNode => {
    const { count, ns } = weights.get(id) ?? { count: 0, ns: 0 };
    return {
      frame: callFrame,
      weights: isIdle(callFrame) ? [0, 0] : [count, ns],
      children: children.flatMap((child) => {
        const node = byId.get(child);
        return node === undefined ? [] : [treeOf(node)];
      }),
    };
  };
  const [root] = nodes; // V8 lists each caller before its calls.
  if (root === undefined) throw new Error('cannot read CPU profile: it has no root');
  return treeOf(root);
}

/** Whether a frame means waiting. V8 marks an idle event loop, but not a Piscina thread that waits for a task. */
function isIdle({ functionName, url }: CallFrame): boolean {
  if (functionName === '(idle)') return true;
  return functionName === 'atomicsWaitLoop' && url.includes('/piscina/');
}

/** The tree of a heap profile. The weight is in bytes. */
export function heapTree(head: HeapProfiler.SamplingHeapProfileNode): CallNode {
  return { frame: head.callFrame, weights: [head.selfSize], children: head.children.map(heapTree) };
}
