// Evil web pages call the two local ports, in Chromium: node ports.mjs API_URL DYNAMODB_URL
//
// One page has another origin. The name of the other page leads to this machine (DNS rebinding). Both read and write all they can,
// and must get nothing. The server must have demo credentials for the page of /docs.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { endAfter, launch } from './chromium.mjs';

const [api, dynamodb] = process.argv.slice(2);
if (!dynamodb) {
  console.error('usage: node ports.mjs API_URL DYNAMODB_URL, such as http://127.0.0.1:3000 http://127.0.0.1:8000');
  process.exit(2);
}
const TABLE = 'rolecall';
const KEYS = ['JWKS'];
const SECRET = 'arn:aws:secretsmanager:us-east-1:000000000000:secret:SigningSecret';
// Milliseconds for the whole test.
const ALL = 60_000;

endAfter(ALL);

const key = (name) => ({ PK: { S: 'CONFIG' }, SK: { S: name } });
const read = (name) => ({ operation: 'GetItem', input: { TableName: TABLE, Key: key(name) } });
const readSecret = { operation: 'secretsmanager.GetSecretValue', input: { SecretId: SECRET } };
const write = (name) => ({ operation: 'PutItem', input: { TableName: TABLE, Item: key(name) } });

/** Calls DynamoDB; runs here and in pages. */
async function call(url, { operation, input }, options = {}) {
  try {
    const headers = {
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': operation.includes('.') ? operation : `DynamoDB_20120810.${operation}`,
      'x-amz-date': '20260101T000000Z',
      authorization:
        'AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0',
    };
    const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(input), ...options });
    return { status: answer.status, text: await answer.text() };
  } catch (error) {
    return { error: String(error) };
  }
}

/** Fetches something; runs here and in pages. */
async function get(url, options = {}) {
  try {
    const answer = await fetch(url, options);
    return { status: answer.status, text: await answer.text() };
  } catch (error) {
    return { error: String(error) };
  }
}

// The data behind the ports, as a person sees it.
const secrets = [];
for (const name of KEYS) {
  const { status, text } = await call(dynamodb, read(name));
  assert.equal(status, 200, `${name}: ${text}`);
  const { Item } = JSON.parse(text);
  assert(Item, `there is no ${name}`);
  secrets.push(...Object.values(Item).map((value) => JSON.stringify(value)).filter((value) => value.length > 40));
}
const signing = await call(dynamodb, readSecret);
assert.equal(signing.status, 200, `the signing keys: ${signing.text}`);
const { keys, seal } = JSON.parse(JSON.parse(signing.text).SecretString);
secrets.push(seal, ...keys.map(({ pkcs8 }) => pkcs8));
const { text: docs } = await get(`${api}/docs`);
const [, credentials] = docs.match(/<script type="application\/json" id="credentials"[^>]*>(.*?)<\/script>/s) ?? [];
assert(credentials, `${api}/docs has no credentials`);
secrets.push(...strings(JSON.parse(credentials)).filter((value) => value.length > 40));

assert(secrets.length > KEYS.length + 2, 'there is nothing to get');

const page = createServer((request, response) => {
  response.setHeader('content-type', 'text/html').end('<!doctype html><title>Evil</title>');
});
await new Promise((resolve) => page.listen(0, '127.0.0.1', resolve));

const browser = await launch(['MAP evil.example 127.0.0.1']);
try {
  await from('another origin', `http://evil.example:${page.address().port}/`, 200, api, dynamodb);
  // The browser takes answers of the ports under the page's name for answers of the page's origin.
  for (const url of [api, dynamodb]) {
    const rebound = `http://evil.example:${new URL(url).port}`;
    await from(`a rebound name, port ${new URL(url).port}`, `${rebound}/docs`, 421, rebound, rebound);
  }
} finally {
  await browser.close();
  page.close();
}

/** Opens a page and has it try everything on both URLs. */
async function from(name, url, status, api, dynamodb) {
  // The evil page would choose its own policy, so it has none.
  const context = await browser.newContext({ bypassCSP: true });
  const page = await context.newPage();
  const opened = await page.goto(url);
  const gotten = [{ what: 'the page itself', status: opened.status(), text: await opened.text() }];
  const marks = [];
  await page.evaluate(`globalThis.call = ${call}; globalThis.get = ${get};`);
  const tries = [];
  for (const [mode, credentials] of [['cors', 'include'], ['cors', 'omit'], ['no-cors', 'include']]) {
    tries.push(...KEYS.map((it) => ({ what: `read ${it}`, request: read(it), options: { mode, credentials } })));
    tries.push({ what: 'read the signing keys', request: readSecret, options: { mode, credentials } });
    const mark = `evil-${marks.length}-${Date.now()}`;
    marks.push(mark);
    tries.push({ what: 'write', request: write(mark), options: { mode, credentials } });
    for (const url of [`${api}/docs`, `${api}/openapi.json`, `${api}/demo-issuer/members`, dynamodb]) {
      tries.push({ what: `fetch ${new URL(url).pathname}`, url, options: { mode, credentials } });
    }
    const body = JSON.stringify({ tenant: 'acme', email: 'owner@acme.example' });
    tries.push({ what: 'sign in', url: `${api}/demo-issuer/token`, options: { mode, credentials, method: 'POST', body } });
  }
  for (const { what, request, url, options } of tries) {
    const got = request
      ? await page.evaluate(([url, request, options]) => call(url, request, options), [dynamodb, request, options])
      : await page.evaluate(([url, options]) => get(url, options), [url, options]);
    gotten.push({ what: `${what} (${options.mode}, ${options.credentials})`, ...got });
  }
  // A frame with /docs. A page of the same origin may read it.
  gotten.push({ what: 'a frame', text: await page.evaluate(framed, `${api}/docs`) });
  await context.close();

  assert.equal(gotten[0].status, status, `${name}: ${url}`);
  for (const { what, status, text, error } of gotten.slice(1)) {
    const nothing = error !== undefined || text === '' || [403, 421].includes(status);
    assert(nothing, `${name}: ${what}: ${status} ${text?.slice(0, 200)}`);
  }
  for (const { what, text = '' } of gotten) {
    for (const secret of secrets) assert(!text.includes(secret), `${name}: ${what} has a secret: ${text.slice(0, 200)}`);
  }
  for (const mark of marks) {
    const { text } = await call(process.argv[3], read(mark));
    assert.deepEqual(JSON.parse(text), {}, `${name}: it has written ${mark}`);
  }
  console.log(`${name}: nothing, of ${gotten.length} tries`);
}

/** The text of a frame of a URL, as far as the page may read it; runs in pages. */
async function framed(url) {
  const frame = document.createElement('iframe');
  const loaded = new Promise((resolve) => (frame.onload = resolve));
  frame.src = url;
  document.body.append(frame);
  await loaded;
  try {
    return frame.contentDocument?.getElementById('credentials')?.textContent ?? '';
  } catch {
    return '';
  }
}

/** All strings in a value of JSON. */
function strings(value) {
  if (typeof value === 'string') return [value];
  return value && typeof value === 'object' ? Object.values(value).flatMap(strings) : [];
}
