// The API reference in Chromium: node test.mjs URL OUT_DIR
//
// Sends operations as a person would: half of them in each theme, and one by keyboard alone. Then it signs in as two demo members, and
// out. The server must have demo credentials for the page, and the document's examples must be those of the demo tenants. OUT_DIR gets
// screenshots.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { endAfter, launch } from './chromium.mjs';

const [url, out] = process.argv.slice(2);
if (!out) {
  console.error('usage: node test.mjs URL OUT_DIR, such as http://127.0.0.1:3000 ../../target');
  process.exit(2);
}
const LANGUAGES = ['Shell', 'Python', 'JavaScript', 'Go', 'Ruby'];
const WIDE = { width: 1440, height: 900 };
// Milliseconds for one step, and for the whole test.
const STEP = 10_000;
const ALL = 600_000;

endAfter(ALL);

// The answer of an operation that succeeds, and the text that the page shows for it.
const DONE = { 200: '200 OK', 201: '201 Created' };

// Of each dialect, one of each method that an admin can do again and again: the page takes seconds for each.
const SENT = [
  'get /v1/users',
  'post /v1/roles',
  'put /v1/users/{id}',
  'patch /v1/users/{id}',
  'post /access/v1/evaluation',
  'post /oauth/introspect',
  'patch /api/v1/tenant/{tenantId}/user/{userId}',
  'get /api/v1/tenant/{tenantId}/user/{userId}',
  'put /api/{tenant}/{version}/users/{id}',
  'get /api/{tenant}/{version}/users/{id}',
  'post /api/{tenant}/{version}/user_invites/create_v2',
  'patch /users-organizations/v1/rs/users/{userId}',
  'get /users-organizations/v1/rs/users/{userId}',
  'put /api/v1/organizations/{organization_id}/users/roles',
  'get /api/v1/organizations/{organization_id}/users/roles',
];

await mkdir(out, { recursive: true });
const response = await fetch(`${url}/openapi.json`);
assert.equal(response.status, 200, `${url}/openapi.json`);
const { paths } = await response.json();
const operations = SENT.map((operation) => {
  const [method, path] = operation.split(' ');
  assert(method in (paths[path] ?? {}), `the reference has no ${operation}`);
  return { method, path };
});

const browser = await launch();
try {
  // First, because the calls below change the demo's names. The refused call at the end is in the console.
  await withPage('sign-in', 'dark', signsIn, { expected: /status of 401/ });

  // Side by side: a page keeps one core busy.
  const inTheme = (theme) =>
    withPage(theme, theme, async (page) => {
      await page.screenshot({ path: `${out}/docs-${theme}.png`, animations: 'disabled' });
      const languages = page.getByRole('tablist', { name: 'Client Libraries' }).getByRole('tab');
      assert.deepEqual((await languages.allInnerTexts()).map((text) => text.trim()), LANGUAGES);
      await page.getByRole('button', { name: /^Change code sample language/ }).first().click();
      // Not those of the demo members, which are elements of HTML.
      const options = page.locator('[role=option]:visible');
      await options.first().waitFor();
      assert.equal(await options.count(), LANGUAGES.length);
      await page.keyboard.press('Escape');
      for (const operation of operations.filter((_, index) => index % 2 === (theme === 'light' ? 0 : 1))) {
        await link(page, operation).click();
        await button(page, operation).click();
        await answered(page, operation, () => send(page).click());
        // Each call overwrites the file, so the last one stays.
        await page.screenshot({ path: `${out}/docs-${theme}-answer.png`, animations: 'disabled' });
        await page.keyboard.press('Escape');
        await client(page).waitFor({ state: 'hidden' });
      }
      await page.getByRole('button', { name: theme === 'light' ? 'Set dark mode' : 'Set light mode' }).click({ noWaitAfter: true });
      await isThemed(page, theme === 'light' ? 'dark' : 'light');
    });
  await Promise.all(['light', 'dark'].map(inTheme));

  await withPage('keyboard', 'light', async (page) => {
    const [operation] = operations;
    const enter = () => page.keyboard.press('Enter');
    await reach(page, link(page, operation));
    await enter();
    await reach(page, button(page, operation));
    await enter();
    await client(page).locator(':focus').waitFor();
    await reach(page, send(page));
    await answered(page, operation, enter);
  });

  await withPage('no credentials', 'light', async (page) => {
    assert.equal(await signIn(page).count(), 0);
    const [operation] = operations;
    await link(page, operation).click();
    await button(page, operation).click();
    await client(page).waitFor();
    const tokens = await page.getByPlaceholder('Token').all();
    assert(tokens.length > 0, 'there is no field for a token');
    for (const token of tokens) assert.equal(await token.inputValue(), '');
  }, { hasCredentials: false });
} finally {
  await browser.close();
}

/** Runs `test` on the page in a profile of its own, in which nothing may go wrong but what is `expected` in the console. */
async function withPage(name, theme, test, { hasCredentials = true, expected } = {}) {
  const started = Date.now();
  const context = await browser.newContext({ viewport: WIDE, colorScheme: theme });
  const page = await context.newPage();
  page.setDefaultTimeout(STEP);
  const wrong = [];
  page.on('console', (message) => {
    if (!expected?.test(message.text())) wrong.push(`console: ${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => wrong.push(`error: ${error}`));
  page.on('request', (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== new URL(url).origin && protocol !== 'data:') wrong.push(`request: ${request.url()}`);
  });
  await page.exposeFunction('violated', (violation) => wrong.push(`policy: ${violation}`));
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => {
      violated(`${event.effectiveDirective} forbids ${event.blockedURI}: ${event.sample}`);
    });
  });
  if (!hasCredentials) {
    await page.route(`${url}/docs`, async (route) => {
      const response = await route.fetch();
      const body = (await response.text()).replace(/<script type="application\/json".*?<\/script>/s, '');
      await route.fulfill({ response, body });
    });
  }
  try {
    const served = await page.goto(`${url}/docs`);
    assert.equal(served.status(), 200, `${url}/docs`);
    assert.doesNotMatch(served.headers()['content-security-policy'], /unsafe|\*/);
    assert.equal(await page.locator('#credentials').count(), hasCredentials ? 1 : 0, 'elements with credentials');
    await page.getByRole('heading', { level: 1 }).waitFor();
    await isThemed(page, theme);
    await test(page);
  } catch (error) {
    await page.screenshot({ path: `${out}/docs-failure.png`, animations: 'disabled' });
    throw new Error([`${name}: ${error.message}`, ...wrong].join('\n'), { cause: error });
  }
  await context.close();
  assert.equal(wrong.length, 0, [`${name}:`, ...wrong].join('\n'));
  console.log(`${name}: ${Date.now() - started} ms`);
}

async function isThemed(page, theme) {
  await page.locator(`body.${theme}-mode`).waitFor();
}

/** Signs in as a demo member by keyboard, as another one by choosing and clicking, and out; and tries a call each time. */
async function signsIn(page) {
  const bar = signIn(page);
  const choice = bar.getByLabel('Sign in as');
  const enter = bar.getByRole('button', { name: 'Sign in', exact: true });
  const leave = bar.getByRole('button', { name: 'Sign out' });
  const says = (text) => bar.getByRole('status').filter({ hasText: text }).waitFor();
  await choice.waitFor();
  const groups = await bar.locator('optgroup').evaluateAll((all) => all.map((it) => [it.label, it.children.length > 1]));
  assert.deepEqual(groups.map(([, hasMembers]) => hasMembers), [true, true], JSON.stringify(groups));
  // Other clients may have changed the names.
  const isSignedIn = async () => {
    const member = await choice.evaluate((it) => {
      const chosen = it.selectedOptions[0];
      return `${chosen.text.split(' (')[0]} of ${chosen.parentElement.label}`;
    });
    await says(`You are ${member}`);
  };
  assert.equal(await leave.count(), 0);

  await reach(page, choice);
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  assert.equal(await choice.inputValue(), 'acme user@acme.example');
  await reach(page, enter);
  await page.keyboard.press('Enter');
  await isSignedIn();
  const first = await tried(page, 200);
  assert.equal(first.claims.sub, '726f6c65-6361-8002-8000-000000000003');

  await choice.selectOption('acme owner@acme.example');
  await enter.click();
  await isSignedIn();
  const second = await tried(page, 200);
  assert.equal(second.claims.sub, '726f6c65-6361-8002-8000-000000000001');
  await page.screenshot({ path: `${out}/docs-sign-in.png`, animations: 'disabled' });
  assert.equal(await again(first), 401, 'the first session has ended');
  assert.equal(await again(second), 200);

  await leave.click();
  await says('You have signed out');
  await bar.locator('select:focus').waitFor();
  assert.equal(await leave.count(), 0);
  assert.equal((await tried(page, 401)).claims, undefined, 'the call has no token');
  assert.equal(await again(second), 401, 'the second session has ended');
}

/** Tries a call that any member may make, and sees its status. Returns two headers of it, and the claims of its token. */
async function tried(page, status) {
  const operation = { method: 'get', path: '/v1/roles' };
  await link(page, operation).click();
  await button(page, operation).click();
  const answer = await sent(page, operation, () => send(page).click());
  assert.equal(answer.status(), status, await answer.text());
  await shownAnswer(page).getByText(status === 200 ? DONE[200] : '401 Unauthorized').first().waitFor();
  await page.keyboard.press('Escape');
  await client(page).waitFor({ state: 'hidden' });
  const { authorization = '', 'x-tenant-id': tenant } = await answer.request().allHeaders();
  const claims = authorization.split('.')[1];
  return { authorization, tenant, claims: claims && JSON.parse(Buffer.from(claims, 'base64url')) };
}

/** The status of the same call outside of the page. */
async function again({ authorization, tenant }) {
  return (await fetch(`${url}/v1/roles`, { headers: { authorization, 'x-tenant-id': tenant } })).status;
}

function signIn(page) {
  return page.getByRole('region', { name: 'Demo sign-in' });
}

function link(page, { method, path }) {
  return page.getByRole('complementary').locator(`a[href$="/${method.toUpperCase()}${path}"]`);
}

function button(page, { method, path }) {
  return page.getByRole('button', { name: `Test Request (${method} ${path})` });
}

function client(page) {
  return page.getByRole('dialog', { name: 'API Client' });
}

function send(page) {
  return client(page).getByRole('button', { name: /^Send (put|patch|post|delete|get) request/ });
}

/** The region of the page that shows an answer. */
function shownAnswer(page) {
  return client(page).getByRole('region', { name: /^Response/ });
}

/** The answer to what `act` sends in the page. */
async function sent(page, { method, path }, act) {
  const pattern = RegExp(`^${url}${path.replace(/\{[^}]*\}/g, '[^/?{}]+')}([?].*)?$`);
  const isOurs = (it) => it.request().method() === method.toUpperCase() && pattern.test(it.url());
  const [answer] = await Promise.all([page.waitForResponse(isOurs), act()]);
  return answer;
}

/** Sees the status and the JSON of the answer to what `act` sends in the page. */
async function answered(page, operation, act) {
  const name = `${operation.method.toUpperCase()} ${operation.path}`;
  const answer = await sent(page, operation, act);
  const status = answer.status();
  assert(status in DONE, `${name}: ${status} ${await answer.text()}`);
  const shown = shownAnswer(page);
  await shown.getByText(DONE[status]).waitFor();
  const body = await answer.json();
  const [key] = Object.keys(Array.isArray(body) ? body[0] : body);
  await shown.getByText(`"${key}"`).first().waitFor();
  if (status === 201) {
    // A name can be given once: what was made goes again.
    const { authorization, 'x-tenant-id': tenant } = await answer.request().allHeaders();
    const place = `${url}${(await answer.allHeaders()).location}`;
    const gone = await fetch(place, { method: 'DELETE', headers: { authorization, 'x-tenant-id': tenant } });
    assert.equal(gone.status, 204, `DELETE ${place}: ${await gone.text()}`);
  }
  console.log(`  ${name}: ${status}`);
}

/** Goes to an element by the tab key. */
async function reach(page, element) {
  await element.waitFor();
  const isThere = () => element.evaluate((it) => it === document.activeElement);
  for (let steps = 0; !(await isThere()); steps += 1) {
    assert(steps < 200, `200 times the tab key, and not at ${element}`);
    await page.keyboard.press('Tab');
  }
}
