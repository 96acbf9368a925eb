/** The lines for a client's shell, with the name by which this browser reached the server. */

import { useState } from 'preact/hooks';
import { originOf, shellSteps } from '../core/status-figures.ts';

export function Connect() {
  const origin = originOf(location.host, location.protocol === 'https:');
  return (
    <section aria-labelledby="connect">
      <h2 id="connect">Connect a machine</h2>
      {shellSteps(origin).map(({ title, lines }) => (
        <Step key={title} title={title} text={lines.join('\n')} />
      ))}
    </section>
  );
}

function Step({ title, text }: { readonly title: string; readonly text: string }) {
  const [said, setSaid] = useState('Copy');
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => setSaid('Copied'),
      () => setSaid('Select it'),
    );
  return (
    <div class="step">
      <h3>{title}</h3>
      {/* Without https a browser has no clipboard for pages; one click selects all. */}
      {navigator.clipboard !== undefined && (
        <button type="button" class="plain" onClick={copy} aria-label={`Copy: ${title}`}>
          {said}
        </button>
      )}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a long line is scrolled by keyboard too */}
      <pre tabIndex={0}>{text}</pre>
    </div>
  );
}
