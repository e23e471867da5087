// Signs in through an identity provider that nobody here wrote, in Chromium: node test.mjs API_URL
//
// A person signs in at the provider by the code flow with PKCE. The app exchanges the ID token for a session in the tenant `acme`, and
// calls with it. OWNER is an access token of the tenant's owner.

import assert from 'node:assert/strict';
import { setTimeout as after } from 'node:timers/promises';
import { endAfter } from '../browser/chromium.mjs';
import { startApp } from './app.mjs';

const [api] = process.argv.slice(2);
const { OWNER } = process.env;
if (!api || !OWNER) {
  console.error('usage: OWNER=TOKEN node test.mjs API_URL, such as http://127.0.0.1:3000');
  process.exit(2);
}
const ACME = '726f6c65-6361-8001-8000-000000000001';
const APP = 'acme-app';
const OTHER_APP = 'another-app';
// Milliseconds for the whole test, and for the function that fetches keys.
const ALL = 120_000;
const FETCHED = 30_000;

endAfter(ALL);

/** Calls the product. */
async function call(method, path, token, body) {
  const headers = { 'content-type': 'application/json', 'x-tenant-id': ACME };
  if (token) headers.authorization = `Bearer ${token}`;
  const answer = await fetch(api + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : null };
}

/** Exchanges an ID token for a session. */
function exchange(token, nonce) {
  return call('POST', '/v1/sessions', null, {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: token,
    subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
    audience: 'acme',
    nonce,
  });
}

const refresh = (token) => call('POST', '/v1/sessions', null, { grant_type: 'refresh_token', refresh_token: token });

const { iss, signInAtProvider, close } = await startApp([APP, OTHER_APP]);

/** Waits until the product has the provider's keys. */
async function areFetched(path) {
  for (const until = Date.now() + FETCHED; Date.now() < until; await after(100)) {
    const { body } = await call('GET', path, OWNER);
    if (body.keys?.ids.length > 0) return;
  }
  assert.fail(`no keys after ${FETCHED / 1000} s`);
}

let issuer;
try {
  const early = await signInAtProvider('user@acme.example', APP);
  assert.equal((await exchange(early.token, early.nonce)).body.error, 'invalid_request', 'nobody trusts it yet');

  const trusted = { iss, audiences: [APP], domains: ['acme.example'] };
  const made = await call('POST', '/v1/issuers', OWNER, trusted);
  assert.equal(made.status, 201, JSON.stringify(made.body));
  issuer = `/v1/issuers/${made.body.id}`;
  await areFetched(issuer);

  const { token, nonce } = await signInAtProvider('user@acme.example', APP);
  assert.equal((await exchange(token, 'another nonce')).body.error, 'invalid_request');
  const session = await exchange(token, nonce);
  assert.equal(session.status, 200, JSON.stringify(session.body));
  const { access_token: access, refresh_token: first } = session.body;
  const me = await call('GET', '/v1/users/me', access);
  assert.deepEqual([me.status, me.body.email], [200, 'user@acme.example']);
  const { body: mine } = await call('GET', '/v1/sessions', access);
  const current = mine.sessions.find((it) => it.is_current);
  assert.deepEqual([current.issuer, current.client], [iss, APP]);
  assert(Date.now() - Date.parse(current.authenticated_at) < ALL, `signed in at ${current.authenticated_at}`);
  const asked = await call('POST', '/oauth/introspect', OWNER, { token: access });
  assert.deepEqual([asked.body.active, asked.body.sid], [true, current.id]);

  const refreshed = await refresh(first);
  assert.equal(refreshed.status, 200, JSON.stringify(refreshed.body));

  // A token for another app, and persons who are no members.
  const other = await signInAtProvider('user@acme.example', OTHER_APP);
  assert.equal((await exchange(other.token, other.nonce)).body.error, 'invalid_request');
  for (const email of ['nobody@acme.example', 'owner@elsewhere.example']) {
    const stranger = await signInAtProvider(email, APP);
    const refused = await exchange(stranger.token, stranger.nonce);
    assert.deepEqual([refused.status, refused.body.error], [403, 'access_denied'], email);
  }

  // The owner trusts it no more.
  assert.equal((await call('DELETE', issuer, OWNER)).status, 204);
  issuer = null;
  assert.equal((await refresh(refreshed.body.refresh_token)).body.error, 'invalid_grant');
  const late = await signInAtProvider('user@acme.example', APP);
  assert.equal((await exchange(late.token, late.nonce)).body.error, 'invalid_request');
  assert.equal((await call('DELETE', '/v1/sessions/current', refreshed.body.access_token)).status, 204);
  assert.equal((await call('GET', '/v1/users/me', access)).status, 401);
  console.log('signed in through oidc-provider, and out again');
} finally {
  if (issuer) await call('DELETE', issuer, OWNER);
  await close();
}
