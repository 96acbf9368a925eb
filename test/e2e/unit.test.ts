// Goal: the systemd unit is valid and tight, and a server started by it tells systemd when it is ready, lives and stops.
// Method: systemd's own checks of the unit; and a real server with a notification socket, which a few lines of Perl
// read, as Node has no such sockets.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { Astera } from '../support/astera.ts';
import { CHECKOUT } from '../support/corpus.ts';
import { tempDir } from '../support/temp-dir.ts';

const UNIT = join(CHECKOUT, 'deploy/astera.service');

/** In systemd's tenths: 2.0 of 10. */
const EXPOSURE_MAX = 20;

test('systemd finds nothing wrong with the unit', (t) => {
  const unit = join(tempDir(t), 'astera.service');
  // What it starts must exist for this check.
  writeFileSync(unit, readFileSync(UNIT, 'utf8').replaceAll('/opt/astera/current', CHECKOUT));
  assert.equal(
    execFileSync('systemd-analyze', ['verify', '--man=no', unit], { encoding: 'utf8', stdio: 'pipe' }),
    '',
  );
});

test('the unit leaves little open', () => {
  const options = ['--offline=true', `--threshold=${EXPOSURE_MAX}`, '--no-pager', UNIT];
  const report = execFileSync('systemd-analyze', ['security', ...options], {
    encoding: 'utf8',
    stdio: 'pipe',
  });
  assert.match(report, /Overall exposure level for astera\.service: [01]\.\d/);
});

test('systemd is told of start, life and stop', async (t) => {
  const { path, next } = await notifySocket(t);
  const env = { NOTIFY_SOCKET: path, WATCHDOG_USEC: '600000' };
  const astera = await Astera.start({ upstream: 'http://127.0.0.1:1', env });
  t.after(() => astera.dispose());
  assert.equal(await next(), 'READY=1');
  for (let time = 0; time < 4; time++) assert.equal(await next(), 'WATCHDOG=1');
  await astera.stop();
  for (;;) {
    const message = await next();
    if (message === 'WATCHDOG=1') continue;
    assert.equal(message, 'STOPPING=1');
    break;
  }
});

test('a server that cannot tell systemd says so, and serves', async (t) => {
  const astera = await Astera.start({
    upstream: 'http://127.0.0.1:1',
    env: { NOTIFY_SOCKET: join(tempDir(t), 'nobody') },
  });
  t.after(() => astera.dispose());
  assert.equal((await astera.get('readyz')).status, 200);
  await astera.stop();
  await astera.logged(/systemd was not told/);
});

/** A datagram socket that hands on each first line it gets. `systemd-notify` sends a second message after its own, to be sure. */
async function notifySocket(t: TestContext): Promise<{ path: string; next: () => Promise<string> }> {
  const path = join(tempDir(t), 'notify');
  const script = `use Socket; $| = 1; my $s; socket($s, AF_UNIX, SOCK_DGRAM, 0) and bind($s, sockaddr_un($ARGV[0])) or die;
    print "bound\\n"; while (defined recv($s, $_, 4096, 0)) { print "$_\\n" if !/^BARRIER=/ }`;
  const perl = spawn('perl', ['-e', script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(async () => {
    perl.kill();
    await once(perl, 'exit');
  });
  const lines = createInterface({ input: perl.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done === true) throw new Error('the notification socket closed');
      if (value !== '') return value;
    }
  };
  assert.equal(await next(), 'bound');
  return { path, next };
}
