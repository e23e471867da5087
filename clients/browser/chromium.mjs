// Starts Chromium for the tests beside it.

import { chromium } from 'playwright-core';

/** A browser without a call of its own. `rules` says which further host names it resolves, as --host-resolver-rules does. */
export function launch(rules = []) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--host-resolver-rules=${[...rules, 'MAP * ~NOTFOUND', 'EXCLUDE 127.0.0.1'].join(', ')}`,
    ],
  });
}

/** Ends the process with status 1 unless it has ended within so many milliseconds. */
export function endAfter(milliseconds) {
  setTimeout(() => {
    console.error(`not done after ${milliseconds / 1000} s`);
    process.exit(1);
  }, milliseconds).unref();
}
