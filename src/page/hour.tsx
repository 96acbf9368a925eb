/** The last hour: key figures, and a bar for each minute. */

import type { Status, TotalName } from '../core/status.ts';
import { ANSWERS, HITS, percent, sumOf, sumOfMinutes } from '../core/status-figures.ts';
import { count, counted, size } from './format.ts';

const MINUTES = 60;
const HEIGHT = 96;

/** From the bottom of a bar to its top. */
const PARTS: readonly { readonly name: string; readonly label: string; readonly of: readonly TotalName[] }[] =
  [
    { name: 'hit', label: 'memory and store', of: HITS },
    { name: 'fetched', label: 'fetched', of: ['upstream', 'git', 'bucket'] },
    { name: 'old', label: 'stale', of: ['stale', 'computed'] },
  ];

export function Hour({ status }: { readonly status: Status }) {
  const { hour, open } = status;
  const answers = sumOfMinutes(hour, ANSWERS);
  const requests = sumOfMinutes(hour, ['upstreamRequests']);
  const failures = sumOfMinutes(hour, ['upstreamFailures']);
  const failed = failures > 0 ? `, ${count(failures)} failed` : '';
  return (
    <section aria-labelledby="hour">
      <h2 id="hour">Last hour</h2>
      <dl class="keys">
        <Key name="Hit rate" value={percent(sumOfMinutes(hour, HITS), answers) ?? '–'}>
          from memory or store
        </Key>
        <Key name="Answers" value={count(answers)}>
          modules and checksums
        </Key>
        <Key name="Fetched" value={size(sumOfMinutes(hour, ['upstreamBytes']))}>
          {counted(requests, 'request')}
          {failed}
        </Key>
        <Key name="Requests now" value={count(open.requests)}>
          {counted(open.connections, 'connection')}
        </Key>
      </dl>
      {answers === 0 ? <p class="empty">No module was given out in this hour.</p> : <Chart hour={hour} />}
    </section>
  );
}

function Key({ name, value, children }: { name: string; value: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <strong>{value}</strong> <span>{children}</span>
      </dd>
    </div>
  );
}

function Chart({ hour }: Pick<Status, 'hour'>) {
  const most = Math.max(1, ...hour.map((minute) => sumOf(minute, ANSWERS)));
  const from = MINUTES - hour.length;
  const about = PARTS.map(({ label, of }) => `${label} ${count(sumOfMinutes(hour, of))}`).join(', ');
  return (
    <figure class="hour">
      <svg
        viewBox={`0 0 ${MINUTES * 10} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Answers in each minute of the last hour, at most ${count(most)}: ${about}`}
      >
        {hour.map((minute, place) => {
          let top = HEIGHT;
          return PARTS.map(({ name, of }) => {
            const height = (sumOf(minute, of) / most) * (HEIGHT - 1);
            top -= height;
            const x = (from + place) * 10 + 1;
            return height === 0 ? null : (
              <rect key={`${minute.fromMs} ${name}`} class={name} x={x} y={top} width={8} height={height} />
            );
          });
        })}
      </svg>
      <p class="axis" aria-hidden="true">
        <span>1 h ago</span>
        <span>at most {count(most)} a minute</span>
        <span>now</span>
      </p>
      <figcaption>
        {PARTS.map(({ name, label, of }) => (
          <span key={name}>
            <i class={name} /> {label} <b>{count(sumOfMinutes(hour, of))}</b>
          </span>
        ))}
      </figcaption>
    </figure>
  );
}
