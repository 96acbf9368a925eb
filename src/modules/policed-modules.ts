/**
 * The module proxy under a policy: the one place where a version's answer is refused, or left out of a list.
 *
 *     denied by name ─▶ refused, before memory, store and source
 *     an answer      ─▶ the versions in it are looked at ─▶ the same, a shorter list, another latest version, or a refusal
 *
 * It stands in front of all sources and of all that is stored. Without a policy it only passes on.
 */

import { type Answer, StoredFile } from '../core/answer.ts';
import { CheckFailed, isServeError, UpstreamFailed } from '../core/errors.ts';
import type { Clock } from '../core/ports.ts';
import { quote } from '../core/quote.ts';
import { parseResource, type Resource, resourceKey } from '../core/resource.ts';
import type { Store } from '../core/store-port.ts';
import { compareVersions, type Version } from '../core/version.ts';
import { latestOf, versionOn, versionsOn } from '../core/version-list.ts';
import type { Events } from '../observe/events.ts';
import { readInfo } from '../policy/info-facts.ts';
import type { Policy } from '../policy/policy.ts';
import { denied, type Refusal } from '../policy/refusal.ts';
import type { ListChange } from './fetcher.ts';
import { LISTED_VERSIONS_MAX } from './limits.ts';
import type { ModuleProxy, ProxyRequest } from './module-proxy.ts';
import { Sightings, type SightingsOptions } from './sightings.ts';
import { VersionGate, type VersionGateOptions } from './version-gate.ts';
import { textOf, type WholeAnswer, wholeAnswer } from './whole-answer.ts';

export type PolicedModulesOptions = Omit<VersionGateOptions, 'sightings'> &
  SightingsOptions & {
    readonly modules: Pick<ModuleProxy, 'get' | 'peek' | 'bodyNow'>;
    readonly store: Pick<Store, 'delayYoung'>;
    readonly clock: Clock;
    readonly events: Pick<Events, 'refusedByPolicy'>;
  };

/** The answer that goes out, the proxy's own one that it was made of, and until when it holds: Unix time. */
type Judged = { readonly answer: Answer; readonly own: Answer; readonly untilMs: number };

/** The answer to a file in memory, until then. */
type Verdict = { readonly file: StoredFile; readonly untilMs: number };

export class PolicedModules implements Pick<ModuleProxy, 'get' | 'peek' | 'bodyNow'> {
  readonly #options: PolicedModulesOptions;
  readonly #sightings: Sightings;
  /** Undefined: everything is given. */
  #gate: VersionGate | undefined;
  /** By the file as the proxy has it in memory. */
  #verdicts = new WeakMap<StoredFile, Verdict>();
  /** Under way now. */
  #judging = new Map<string, Promise<Judged>>();

  constructor(options: PolicedModulesOptions) {
    this.#options = options;
    this.#sightings = new Sightings(options);
  }

  /** Takes a policy in the place of the one before. @throws {StoreFailed} the time of the first delay can't be kept */
  async follow(policy: Policy): Promise<void> {
    const { store, clock } = this.#options;
    const { sinceMs } = await store.delayYoung({ isOn: policy.hasAges, nowMs: clock.wallMs() });
    this.#gate = policy.isEmpty
      ? undefined
      : new VersionGate(policy, {
          ...this.#options,
          sightings: this.#sightings,
          keptBeforeMs: sinceMs ?? 0,
        });
    this.#verdicts = new WeakMap();
    this.#judging = new Map();
  }

  get hasPolicy(): boolean {
    return this.#gate !== undefined;
  }

  /** The proxy has got another list of a module than before. */
  noteListChange(change: ListChange): void {
    const ageMs = this.#gate?.policy.ageMsOf(change.module) ?? 0;
    if (ageMs > 0) this.#sightings.note(change);
  }

  /** As {@link ModuleProxy.peek}. Undefined where more must be known. */
  peek(key: string): StoredFile | undefined {
    const file = this.#options.modules.peek(key);
    if (this.#gate === undefined || file === undefined || file.kind === 'mod') return file;
    const verdict = this.#verdicts.get(file);
    if (verdict === undefined) return this.#peekUnjudged(this.#gate, key, file);
    const { untilMs } = verdict;
    return untilMs === Infinity || untilMs > this.#options.clock.wallMs() ? verdict.file : undefined;
  }

  bodyNow(file: StoredFile): Uint8Array | undefined {
    return this.#options.modules.bodyNow(file);
  }

  /** As {@link ModuleProxy.get}. @throws {Forbidden} a pattern denies it. @throws {NotFound} it is too young */
  async get(request: ProxyRequest): Promise<Answer> {
    const gate = this.#gate;
    const { resource, key } = request;
    if (gate === undefined || isGivenByName(gate, resource)) return this.#options.modules.get(request);
    if ('version' in resource) this.#demand(key, denied(gate.policy, resource.module, resource.version));
    else this.#demand(key, denied(gate.policy, resource.module, undefined));
    return (await this.#judgeOnce(gate, { ...request, isHead: false })).answer;
  }

  /** Clients that ask for the same share the work. Those that came by another proxy do not: a loop is one client's error. */
  #judgeOnce(gate: VersionGate, request: ProxyRequest): Promise<Judged> {
    const { key, mayFetch, via } = request;
    const judging = this.#judging;
    const shared = `${mayFetch} ${key}`;
    const others = via === undefined ? judging.get(shared) : undefined;
    if (others !== undefined) return others;
    const verdicts = this.#verdicts;
    const own = this.#judge(gate, request).then((judged) => {
      this.#remember(verdicts, key, judged);
      return judged;
    });
    if (via !== undefined) return own;
    const done = () => judging.delete(shared);
    own.then(done, done);
    judging.set(shared, own);
    return own;
  }

  /** Looks at the versions in an answer. It is fetched whole for a HEAD too. */
  async #judge(gate: VersionGate, request: ProxyRequest): Promise<Judged> {
    const { resource, key } = request;
    const own = await wholeAnswer(await this.#options.modules.get(request));
    if (own.status !== 200) {
      if (resource.kind === 'latest') this.#demand(key, await this.#whyNone(gate, request));
      return { answer: own, own, untilMs: Infinity };
    }
    if (resource.kind === 'list') return this.#list(gate, request, own);
    const version = readInfo(textOf(own)).version;
    if (version === undefined) throw new CheckFailed(`cannot give ${quote(key)}: it names no version`);
    const refusal = await gate.refusalOf(resource, version, textOf(own));
    if (refusal === undefined) return { answer: own, own, untilMs: Infinity };
    const other = resource.kind === 'latest' ? await this.#otherLatest(gate, request) : undefined;
    if (other === undefined) this.#demand(key, refusal);
    return { answer: other ?? own, own, untilMs: refusal.untilMs };
  }

  async #list(gate: VersionGate, request: ProxyRequest, own: WholeAnswer): Promise<Judged> {
    const lines = textOf(own).split('\n');
    if (lines.length > LISTED_VERSIONS_MAX)
      throw new UpstreamFailed(`cannot give ${quote(request.key)}: over ${LISTED_VERSIONS_MAX} versions`);
    const { shown, untilMs } = await gate.shown(request, versionsOn(lines));
    const left = lines.filter((line) => {
      const version = versionOn(line);
      return version === undefined || shown.has(version);
    });
    if (left.length === lines.length) return { answer: own, own, untilMs };
    const body = new TextEncoder().encode(left.join('\n'));
    return { answer: { ...own, body, size: body.byteLength, sha256: undefined }, own, untilMs };
  }

  /** The `.info` of the latest version that may be shown, of those in the list and of those that are stored. */
  async #otherLatest(gate: VersionGate, request: ProxyRequest): Promise<Answer | undefined> {
    const { module } = request.resource;
    const listed = await this.#listed(request);
    const all = [...new Set([...listed, ...(await gate.storedVersions(module))])];
    const { shown } = await gate.shown(request, all);
    const version = latestOf([...shown].sort(compareVersions));
    const info = version && (await this.#ask(request, { kind: 'info', module, version }));
    return info && { ...info, kind: 'latest', sha256: undefined };
  }

  /**
   * Why a list is empty, if all its versions are held back. Some proxies have no `@latest`: the `go` command asks for it when
   * a list is empty, and shows what it gets.
   */
  async #whyNone(gate: VersionGate, request: ProxyRequest): Promise<Refusal | undefined> {
    const { resource } = request;
    const { module } = resource;
    try {
      const listed = await this.#listed(request);
      const version = latestOf([...listed].sort(compareVersions));
      if (version === undefined || (await gate.shown(request, listed)).shown.size > 0) return undefined;
      const refusal = denied(gate.policy, module, version);
      const info = refusal ? undefined : await this.#ask(request, { kind: 'info', module, version });
      return refusal ?? (info && (await gate.refusalOf(resource, version, textOf(info))));
    } catch (error) {
      if (!isServeError(error)) throw error;
      return undefined; // The 404 stands.
    }
  }

  async #listed(request: ProxyRequest): Promise<Version[]> {
    const list = await this.#ask(request, { kind: 'list', module: request.resource.module });
    const lines = list === undefined ? [] : textOf(list).split('\n');
    return lines.length > LISTED_VERSIONS_MAX ? [] : versionsOn(lines);
  }

  /** Another file for the same client; undefined if there is none. */
  async #ask(request: ProxyRequest, resource: Resource): Promise<WholeAnswer | undefined> {
    try {
      const asked = { ...request, resource, key: resourceKey(resource) };
      const answer = await wholeAnswer(await this.#options.modules.get(asked));
      return answer.status === 200 ? answer : undefined;
    } catch (error) {
      if (isServeError(error) && (error.kind === 'not-found' || error.kind === 'gone')) return undefined;
      throw error;
    }
  }

  /** The file itself, where its name says that it is given; undefined where it does not. */
  #peekUnjudged(gate: VersionGate, key: string, file: StoredFile): StoredFile | undefined {
    const resource = parseResource(key);
    if (resource === undefined || !isGivenByName(gate, resource)) return undefined;
    this.#verdicts.set(file, { file, untilMs: Infinity });
    return file;
  }

  /** The proxy's own file in memory leads to this answer from now on. */
  #remember(verdicts: WeakMap<StoredFile, Verdict>, key: string, { answer, own, untilMs }: Judged): void {
    const raw = this.#options.modules.peek(key);
    if (raw?.body === undefined || raw.body !== own.body || !(answer.body instanceof Uint8Array)) return;
    if (answer.body === own.body) {
      verdicts.set(raw, { file: raw, untilMs });
      return;
    }
    const { status, body } = answer;
    const { kind, visibility, freshUntilMs } = raw;
    const size = body.byteLength;
    const fields = { kind, status, size, body, blob: undefined, sha256: '', freshUntilMs, visibility };
    verdicts.set(raw, { file: new StoredFile(fields), untilMs });
  }

  /** @throws the refusal's error, if there is one. It is counted and logged here, and nowhere else */
  #demand(key: string, refusal: Refusal | undefined): void {
    if (refusal === undefined) return;
    this.#options.events.refusedByPolicy(refusal.reason, key, refusal.error.message);
    throw refusal.error;
  }
}

/** Whether a policy gives a file whatever its content: its age and the versions in it need not be looked at. */
function isGivenByName(gate: VersionGate, resource: Resource): boolean {
  const { policy } = gate;
  const { kind, module } = resource;
  if (kind === 'mod' || !policy.concerns(module)) return true;
  const isSettled = kind === 'zip' || (kind === 'info' && !gate.delays(resource));
  return isSettled && policy.denialOf(module, resource.version) === undefined;
}
