/** A status as plain text, for those who look at `/` with curl. */

import { formatSize } from '../core/quantity.ts';
import type { DownloadState, GitCopies, KindFigures, Status } from '../core/status.ts';
import { ANSWERS, HITS, percent, shellSteps, sumOf, sumOfMinutes } from '../core/status-figures.ts';

/** @param origin of the server, by the name that the client used */
export function statusText(status: Status, origin: string): string {
  const { server, atMs, total } = status;
  const steps = shellSteps(origin).flatMap(({ title, lines }) => [
    `# ${title}`,
    ...lines.map((line) => `  ${line}`),
  ]);
  const rows = [
    ['last hour', lastHour(status)],
    ['now', now(status)],
    ...status.downloads.shown.map((one) => ['coming', coming(one)] as const),
    ['upstreams', upstreams(status)],
    ...(total.refused === 0 ? [] : [['policy', `${counted(total.refused, 'request')} refused`] as const]),
    ['store', store(status)],
    ['build cache', buildCache(status)],
    ...(status.git === undefined ? [] : [['git', gitCopies(status.git)]]),
    ...(status.bucket === undefined ? [] : [['bucket', bucket(status.bucket, status.store)]]),
  ].map(([name = '', text = '']) => `${name.padEnd(12)} ${text}`);
  const up = `up ${duration(atMs - server.startedAtMs)}${server.isOffline ? ', offline' : ''}`;
  return [`Astera ${server.version} at ${origin}, ${up}`, '', ...steps, '', ...rows, ''].join('\n');
}

function lastHour({ hour }: Status): string {
  const answers = sumOfMinutes(hour, ANSWERS);
  if (answers === 0) return 'no file was given out';
  const hits = percent(sumOfMinutes(hour, HITS), answers);
  const bytes = formatSize(sumOfMinutes(hour, ['upstreamBytes']));
  return `${count(answers)} answers, ${hits} out of memory and store; ${bytes} fetched`;
}

function gitCopies({ copies, bytes }: GitCopies): string {
  const what = copies === 1 ? '1 copy of a repository' : `${count(copies)} copies of repositories`;
  return `${what}, ${formatSize(bytes)}`;
}

function now({ open, downloads }: Status): string {
  const more = downloads.more > 0 ? `, ${counted(downloads.more, 'more download')}` : '';
  return `${counted(open.requests, 'request')}, ${counted(open.connections, 'connection')}${more}`;
}

function coming({ module, version, receivedBytes, sizeBytes }: DownloadState): string {
  const of = sizeBytes === undefined ? '' : ` of ${formatSize(sizeBytes)}`;
  return `${module} ${version}: ${formatSize(receivedBytes)}${of}`;
}

function upstreams({ upstreams, total, server }: Status): string {
  if (server.isOffline) return 'offline: nobody is asked';
  const states = upstreams.map(({ name, isDown }) => `${name} (${isDown ? 'down' : 'up'})`);
  const asked = `${counted(total.upstreamRequests, 'request')}, ${count(total.upstreamFailures)} failed`;
  return [states.join(', ') || 'none', asked].join('; ');
}

function store({ store }: Status): string {
  if (store === undefined) return 'not counted yet';
  const kinds = store.kinds.filter(({ kind }) => FILES.has(kind)).map(kindText);
  const full = store.full === undefined ? [] : [store.full];
  const { fileBytes, walBytes, limit } = store;
  const of = limit === undefined ? '' : ` of ${formatSize(limit.bytesMax)}`;
  return [`${formatSize(fileBytes + walBytes)}${of}`, ...kinds, ...full].join('; ');
}

function kindText({ kind, entries, bytes }: KindFigures): string {
  return `${count(entries)} .${kind} ${formatSize(bytes)}`;
}

const FILES: ReadonlySet<string> = new Set(['zip', 'mod', 'info']);

function buildCache({ store, total }: Status): string {
  const asked = sumOf(total, ['buildHits', 'buildMisses']);
  const found = percent(total.buildHits, asked);
  const gets =
    found === undefined ? 'nobody has asked for a result' : `${found} of ${counted(asked, 'get')} found`;
  if (store === undefined) return gets;
  const { outputs, bytes, storedBytes } = store.buildCache;
  return `${counted(outputs, 'output')} of ${formatSize(bytes)}, stored in ${formatSize(storedBytes)}; ${gets}`;
}

function bucket({ isDown }: NonNullable<Status['bucket']>, store: Status['store']): string {
  const waiting = store === undefined ? '' : `; ${counted(store.uploads.waiting, 'file')} waiting for it`;
  const refused = store?.uploads.refused ? `, ${count(store.uploads.refused)} refused` : '';
  return `${isDown ? 'down' : 'up'}${waiting}${refused}`;
}

function count(number: number): string {
  return number.toLocaleString('en-US');
}

function counted(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? '' : 's'}`;
}

/** The two largest units: `3d 4h`, `12m`, `5s`. */
function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const;
  const first = parts.findIndex(([value]) => value > 0);
  const shown = first < 0 ? parts.slice(3) : parts.slice(first, first + 2).filter(([value]) => value > 0);
  return shown.map(([value, unit]) => `${value}${unit}`).join(' ');
}
