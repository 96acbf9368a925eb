/** The stored versions with known vulnerabilities. */

import { useEffect, useState } from 'preact/hooks';
import type { ConcernedList } from '../core/status.ts';
import { counted } from './format.ts';
import { getJson } from './get-json.ts';

/** The server looks no more often. */
const AGAIN_MS = 300_000;

export function Vulnerabilities() {
  const list = useList();
  return (
    <section aria-labelledby="vulnerabilities">
      <h2 id="vulnerabilities">Known vulnerabilities</h2>
      {list !== undefined && <About list={list} />}
      {list !== undefined && list.shown.length > 0 && <Table list={list} />}
    </section>
  );
}

function About({ list: { changed, shown, more } }: { readonly list: ConcernedList }) {
  if (changed === undefined) {
    return (
      <p class="empty">
        No vulnerability database is stored. The first govulncheck through this server brings it.
      </p>
    );
  }
  const when = new Date(changed).toLocaleDateString('en-GB', { dateStyle: 'medium' });
  if (shown.length === 0) return <p class="empty">No stored version is concerned, as of {when}.</p>;
  return (
    <p class="note">
      {counted(shown.length + more, 'report')} about stored versions, as of {when}
      {more > 0 && `; the first ${shown.length} are listed`}
    </p>
  );
}

function Table({ list: { shown } }: { readonly list: ConcernedList }) {
  return (
    <table class="reports">
      <thead>
        <tr>
          <th scope="col">Version</th>
          <th scope="col">Report</th>
          <th scope="col">Fixed in</th>
        </tr>
      </thead>
      <tbody>
        {shown.map(({ module, version, id, summary, fixed }) => (
          <tr key={`${module}@${version} ${id}`}>
            <th scope="row" class="path">
              {module}@{version}
            </th>
            <td title={summary}>{id}</td>
            <td>{fixed ?? 'no fix yet'}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function useList(): ConcernedList | undefined {
  const [list, setList] = useState<ConcernedList | undefined>(undefined);
  useEffect(() => {
    const look = () => {
      if (document.hidden) return;
      getJson<ConcernedList>('status/vulnerabilities.json').then(setList, () => {}); // The header tells of trouble.
    };
    look();
    const timer = setInterval(look, AGAIN_MS);
    return () => clearInterval(timer);
  }, []);
  return list;
}
