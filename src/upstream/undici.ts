/**
 * The parts of undici that are used here, without its index.
 *
 * That loads fetch, WebSocket, caches and mocks too: 82 files more, half of undici's time at a start, and 2.6 MB.
 */

import { createRequire } from 'node:module';
import type * as undici from 'undici';

const require = createRequire(import.meta.url);

export const Agent: typeof undici.Agent = require('undici/lib/dispatcher/agent.js');
export const Client: typeof undici.Client = require('undici/lib/dispatcher/client.js');
export const Pool: typeof undici.Pool = require('undici/lib/dispatcher/pool.js');
export const ProxyAgent: typeof undici.ProxyAgent = require('undici/lib/dispatcher/proxy-agent.js');
export const buildConnector: typeof undici.buildConnector = require('undici/lib/core/connect.js');

// undici's index gives this to every dispatcher, and tunnels through HTTP proxies are made by it.
require('undici/lib/dispatcher/dispatcher.js').prototype.connect = require('undici/lib/api/api-connect.js');
