// From an empty table to everything revoked: node first.mjs API_URL DYNAMODB_URL
//
// The server at API_URL has no tenant. ROLECALL is the command that has the subcommand `bootstrap`.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { setTimeout as after } from 'node:timers/promises';
import { endAfter } from '../browser/chromium.mjs';
import { startApp } from './app.mjs';

const [api, dynamodb] = process.argv.slice(2);
const { ROLECALL } = process.env;
if (!api || !dynamodb || !ROLECALL) {
  console.error('usage: ROLECALL=COMMAND node first.mjs API_URL DYNAMODB_URL');
  process.exit(2);
}
const APP = 'app';
const OWNER = 'owner@initech.example';
// Milliseconds for the whole test, and for the function that fetches keys.
const ALL = 180_000;
const FETCHED = 30_000;

endAfter(ALL);

let tenant;
/** Calls the product; returns the JSON of an answer with that status. */
async function does(status, method, path, token, body) {
  const headers = { 'content-type': 'application/json', ...(tenant && { 'x-tenant-id': tenant }) };
  if (token) headers.authorization = `Bearer ${token}`;
  const answer = await fetch(api + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  assert.equal(answer.status, status, `${method} ${path}: ${text}`);
  return text ? JSON.parse(text) : null;
}

/** What a tenant is for: a role, a group and a member are made, changed, found and removed. */
async function lives(token, name) {
  const call = (status, method, path, body) => does(status, method, path, token, body);
  const role = await call(201, 'POST', '/v1/roles', { name: `flyer of ${name}`, permissions: [{ name: 'plane:fly' }] });
  const group = await call(201, 'POST', '/v1/groups', { name: `crew of ${name}`, confers: [role.id] });
  const email = `${name}@initech.example`;
  const member = await call(201, 'POST', '/v1/users', { email, name, status: 'active' });
  const flies = async () => (await call(200, 'POST', '/v1/check', { subject: member.id, action: 'plane:fly' })).allowed;
  assert.equal(await flies(), false);
  await call(200, 'PATCH', `/v1/users/${member.id}`, { groups: [{ id: group.id }] });
  assert.equal(await flies(), true);
  await call(200, 'PATCH', `/v1/groups/${group.id}`, { confers: [] });
  assert.equal(await flies(), false);
  assert.equal((await call(200, 'GET', `/v1/users?email=${email}`)).data[0].id, member.id);
  await call(204, 'DELETE', `/v1/roles/${role.id}`);
  await call(204, 'DELETE', `/v1/users/${member.id}`);
  await call(404, 'GET', `/v1/users/${member.id}`);
  await call(200, 'POST', `/v1/users/${member.id}/restore`);
}

const { iss, signInAtProvider, close } = await startApp([APP]);
try {
  await does(401, 'GET', '/v1/roles', 'rk_none');
  const [command, ...options] = ROLECALL.split(' ');
  const asked = ['bootstrap', '--tenant', 'initech', '--name', 'Initech', '--email', OWNER, '--subject', OWNER];
  const trusted = ['--issuer', iss, '--audience', APP, '--domain', 'initech.example', '--dynamodb', dynamodb];
  const made = JSON.parse(execFileSync(command, [...options, ...asked, ...trusted]));
  assert.equal(made.owner.status, 'active');
  tenant = made.tenant.id;

  const { token, nonce } = await signInAtProvider(OWNER, APP);
  const exchange = {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: token,
    subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
    audience: 'initech',
    nonce,
  };
  let session;
  // Until the provider's keys are fetched, its tokens are none.
  for (const until = Date.now() + FETCHED; !session; await after(100)) {
    const answer = await fetch(`${api}/v1/sessions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(exchange),
    });
    if (answer.status === 200) session = await answer.json();
    else assert(Date.now() < until, `no session after ${FETCHED / 1000} s: ${await answer.text()}`);
  }
  const owner = session.access_token;
  assert.equal((await does(200, 'GET', '/v1/users/me', owner)).is_owner, true);
  await lives(owner, 'ann');
  const key = await does(201, 'POST', '/v1/api-keys', owner, { name: 'Everything', roles: ['owner'] });
  await lives(key.secret, 'bo');

  await does(204, 'DELETE', `/v1/api-keys/${key.id}`, owner);
  await does(401, 'GET', '/v1/roles', key.secret);
  await does(200, 'POST', '/oauth/revoke', null, { token: session.refresh_token });
  await does(401, 'GET', '/v1/roles', owner);
  await does(400, 'POST', '/v1/sessions', null, { grant_type: 'refresh_token', refresh_token: session.refresh_token });
  console.log('from an empty table to an owner, a key, and everything revoked');
} finally {
  await close();
}
