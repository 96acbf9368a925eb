/** The stored modules, with a search. */

import { useEffect, useRef, useState } from 'preact/hooks';
import type { ModuleList, StoredModule } from '../core/status.ts';
import { counted, size } from './format.ts';
import { getJson } from './get-json.ts';
import { Versions } from './versions.tsx';

/** After the last key: at half, each letter is a search. */
const TYPING_MS = 200;
const LENGTH_MAX = 200;

type Found = ModuleList & { readonly text: string };

export function Modules({ nowMs }: { readonly nowMs: number }) {
  const [text, setText] = useState('');
  const { found, trouble, more } = useSearch(text);
  const input = useRef<HTMLInputElement>(null);
  useSlash(input);
  return (
    <section aria-labelledby="modules">
      <h2 id="modules">Modules</h2>
      <search>
        <label>
          <span class="label">Search by path, or path@version</span>
          <input
            ref={input}
            type="search"
            value={text}
            maxLength={LENGTH_MAX}
            placeholder="golang.org/x/text@v0.3"
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
            onInput={({ currentTarget }) => setText(currentTarget.value)}
          />
        </label>
      </search>
      <p class="note" role="status">
        {trouble ?? (found === undefined ? 'Searching…' : aboutOf(found))}
      </p>
      {found && (
        <ul class="modules">
          {found.modules.map((module) => (
            <Module key={module.path} module={module} text={found.text} nowMs={nowMs} />
          ))}
        </ul>
      )}
      {found?.next !== undefined && (
        <button type="button" class="plain more" onClick={more}>
          Show more
        </button>
      )}
    </section>
  );
}

function aboutOf({ modules, next, text }: Found): string {
  if (modules.length === 0) return text === '' ? 'No module is stored yet.' : 'No stored module fits.';
  return `${counted(modules.length, 'module')}${next === undefined ? '' : ', and more'}`;
}

function Module(props: { readonly module: StoredModule; readonly text: string; readonly nowMs: number }) {
  const { path, versions, bytes } = props.module;
  const [isOpen, setOpen] = useState(false);
  return (
    <li>
      <button type="button" class="row" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        <span class="path">{path}</span>
        <span class="number">{counted(versions, 'version')}</span>
        <span class="number">{size(bytes)}</span>
      </button>
      {isOpen && <Versions module={path} text={props.text} nowMs={props.nowMs} />}
    </li>
  );
}

/** The pages of a search so far. While a new one runs, the old one stays. */
function useSearch(text: string) {
  const [found, setFound] = useState<Found | undefined>(undefined);
  const [trouble, setTrouble] = useState<string | undefined>(undefined);
  const running = useRef<AbortController | undefined>(undefined);
  const ask = async (after: Found | undefined) => {
    running.current?.abort();
    const aborter = new AbortController();
    running.current = aborter;
    const query = new URLSearchParams({ q: text });
    if (after?.next !== undefined) query.set('after', after.next);
    try {
      const page = await getJson<ModuleList>(`status/modules.json?${query}`, aborter.signal);
      setFound({ ...page, modules: [...(after?.modules ?? []), ...page.modules], text });
      setTrouble(undefined);
    } catch (error) {
      if (!aborter.signal.aborted) setTrouble(error instanceof Error ? error.message : String(error));
    }
  };
  useEffect(() => {
    const timer = setTimeout(() => void ask(undefined), found === undefined ? 0 : TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return { found, trouble, more: () => void ask(found) };
}

/** "/" leads to the search, as on many sites. */
function useSlash(input: { readonly current: HTMLInputElement | null }): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const isTyping = event.target instanceof HTMLInputElement;
      if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      input.current?.focus();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);
}
