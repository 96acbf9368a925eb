/** The stored versions of one module. */

import { useEffect, useState } from 'preact/hooks';
import type { VersionsPage } from '../core/status.ts';
import { ago, counted, size } from './format.ts';
import { getJson } from './get-json.ts';

type VersionsProps = { readonly module: string; readonly text: string; readonly nowMs: number };

export function Versions({ module, text, nowMs }: VersionsProps) {
  const [page, setPage] = useState<VersionsPage | undefined>(undefined);
  const [trouble, setTrouble] = useState<string | undefined>(undefined);
  const load = async (before: VersionsPage | undefined) => {
    const from = before?.versions.length ?? 0;
    const query = new URLSearchParams({ module, q: text, from: String(from) });
    try {
      const next = await getJson<VersionsPage>(`status/versions.json?${query}`);
      setPage({ ...next, versions: [...(before?.versions ?? []), ...next.versions] });
    } catch (error) {
      setTrouble(error instanceof Error ? error.message : String(error));
    }
  };
  useEffect(() => void load(undefined), [module, text]);
  if (trouble !== undefined) return <p class="note">{trouble}</p>;
  if (page === undefined) return <p class="note">Loading…</p>;
  const left = page.count - page.versions.length;
  return (
    <>
      <table class="versions">
        <thead class="hidden">
          <tr>
            <th scope="col">Version</th>
            <th scope="col">Zip</th>
            <th scope="col">Last asked for</th>
          </tr>
        </thead>
        <tbody>
          {page.versions.map(({ version, zipBytes, usedAtMs }) => (
            <tr key={version}>
              <th scope="row">{version}</th>
              <td class="number">{zipBytes === undefined ? 'no zip' : size(zipBytes)}</td>
              <td class="number">{ago(nowMs - usedAtMs)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {left > 0 && (
        <button type="button" class="plain more" onClick={() => void load(page)}>
          Show {counted(left, 'more version')}
        </button>
      )}
    </>
  );
}
