/**
 * The tests' Git server as a process of its own, so that its CPU is not the bench's.
 *
 * The root of its repositories in the first argument, counts over the IPC channel, gone with its parent.
 */

import { GitHttpServer } from '../../test/git/git-http-server.ts';

const server = await GitHttpServer.start({ root: process.argv[2] ?? '' });

process.on('disconnect', () => process.exit(0));
process.on('message', () => process.send?.(server.takeCounts()));
process.send?.({ url: server.url });
