// An app with an identity provider, and persons with browsers who sign in there.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { launch } from '../browser/chromium.mjs';
import { start } from './provider.mjs';

/** Starts all of them. `clients` are the ids of the app at the provider. */
export async function startApp(clients) {
  // The app's page of return. The browser brings the code there.
  const app = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<title>Back</title>'));
  await new Promise((resolve) => app.listen(0, '127.0.0.1', resolve));
  const redirect = `http://127.0.0.1:${app.address().port}/back`;
  const provider = await start(clients, redirect);
  const { authorization_endpoint, token_endpoint } = await (
    await fetch(`${provider.iss}/.well-known/openid-configuration`)
  ).json();
  const browser = await launch();

  /** A person signs in at the provider, in a browser of their own. Returns the ID token, and the nonce in it. */
  async function signInAtProvider(email, client) {
    const [verifier, state, nonce] = [32, 16, 16].map((length) => randomBytes(length).toString('base64url'));
    const asked = new URL(authorization_endpoint);
    asked.search = new URLSearchParams({
      client_id: client,
      response_type: 'code',
      redirect_uri: redirect,
      scope: 'openid email',
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
      state,
      nonce,
    });
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(asked.href);
    await page.fill('input[name=login]', email);
    await page.fill('input[name=password]', 'whatever');
    await page.click('button[type=submit]');
    // The provider asks whether the app may know the address.
    await page.waitForSelector('input[name=prompt][value=consent]', { state: 'attached' });
    await page.click('button[type=submit]');
    await page.waitForURL((url) => url.href.startsWith(redirect));
    const back = new URL(page.url()).searchParams;
    await context.close();
    assert.deepEqual([back.get('state'), back.get('iss')], [state, provider.iss], 'not the answer to our question');
    const answer = await fetch(token_endpoint, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code: back.get('code'),
        redirect_uri: redirect,
        client_id: client,
        code_verifier: verifier,
      }),
    });
    const { id_token: token } = await answer.json();
    assert(token, `no ID token: ${answer.status}`);
    return { token, nonce };
  }

  const close = async () => {
    await browser.close();
    provider.close();
    app.close();
  };
  return { iss: provider.iss, signInAtProvider, close };
}
