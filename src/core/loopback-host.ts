/** Whether a URL's host, without a port, is this machine's loopback: `localhost`, `127.0.0.1` or `[::1]`. No name is looked up. */
export function isLoopbackHost(host: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/i.test(host);
}
