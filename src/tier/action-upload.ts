/** Uploads of the build cache: an action of the main namespace, after its output. */

import { createHash } from 'node:crypto';
import { STORED_MAIN } from '../core/cache-id.ts';
import { StoreFailed } from '../core/errors.ts';
import { CHUNK_BYTES } from '../core/limits.ts';
import { bodyOf, type ObjectBody } from '../core/object-store.ts';
import { actionObject, outputObject } from './layout.ts';
import { NOTHING_TO_DO, putOnce, type Uploaded, type UploadOptions } from './upload.ts';

const MAIN = [STORED_MAIN];

/** Uploads a stored action. One that is stored no more needs nothing. @throws as {@link putOnce} */
export async function uploadAction(options: UploadOptions, actionId: string): Promise<Uploaded> {
  const { store, outputBytesMin } = options;
  const { action } = await store.getAction({ namespaces: MAIN, actionId, body: 'none' });
  if (action === undefined || action.size < outputBytesMin) return NOTHING_TO_DO;
  const { outputId, size, time, note } = action;
  // Its hash is its name: another object there is wrong for sure.
  const isNew = await putOnce(options, outputObject(outputId), outputBody(options, outputId, size), {
    isSure: true,
  });
  const text = Buffer.from(`${outputId} ${time}`);
  const sha256 = createHash('sha256').update(text).digest('hex');
  await putOnce(options, actionObject(actionId), { ...bodyOf(text, sha256), note }, { isSure: false });
  return { bytes: (isNew ? size : 0) + text.byteLength, queued: [] };
}

function outputBody(
  { store, pace }: Pick<UploadOptions, 'store' | 'pace'>,
  outputId: string,
  size: number,
): ObjectBody {
  return {
    size,
    sha256: outputId,
    open: async function* () {
      const { output, bytes } = await store.getOutput({ outputId, body: 'plain' });
      if (output === undefined) throw new StoreFailed(`cannot read output ${outputId}: it is gone`);
      if (bytes !== undefined) yield bytes;
      for (let seq = 1; seq * CHUNK_BYTES < size; seq++) {
        const chunk = await store.getOutputChunk({ blob: output.blob, seq, body: 'plain' });
        if (chunk.bytes === undefined) throw new StoreFailed(`cannot read output ${outputId}: it is gone`);
        await pace(chunk.bytes.byteLength);
        yield chunk.bytes;
      }
    },
  };
}
