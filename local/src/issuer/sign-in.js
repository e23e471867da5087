// Signs in as a demo member, on the page of the API reference. Only the gateway of `cargo run` serves this file.

const GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ID_TOKEN = 'urn:ietf:params:oauth:token-type:id_token';

// In the colours of the reference, which has a light and a dark theme.
const CSS = `
.sign-in {
  align-items: center;
  background: var(--scalar-background-1);
  border-bottom: 1px solid var(--scalar-border-color);
  color: var(--scalar-color-1);
  display: flex;
  flex-wrap: wrap;
  font: 0.875rem/1.5 var(--scalar-font, sans-serif);
  gap: 0.5rem 0.75rem;
  padding: 0.5rem 1rem;
  position: sticky;
  top: 0;
  z-index: 100;
}
.sign-in :is(select, button) {
  background: var(--scalar-background-2);
  border: 1px solid var(--scalar-color-2);
  border-radius: 4px;
  color: inherit;
  font: inherit;
  max-width: 100%;
  padding: 0.125rem 0.5rem;
}
.sign-in :focus-visible { outline: 2px solid var(--scalar-color-accent); outline-offset: 2px; }
.sign-in p { margin: 0; }
`;

/** Makes an element with attributes and content. */
function make(name, attributes, ...content) {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  element.append(...content);
  return element;
}

/** Calls this server, and returns the JSON of its answer. */
async function call(method, path, body) {
  const headers = body ? { 'content-type': 'application/json' } : {};
  const answer = await fetch(path, { method, headers, credentials: 'omit', body: body && JSON.stringify(body) });
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error_description ?? content.message);
  return content;
}

/**
 * Puts a choice of the demo members above the reference. `show` gives the calls of the page other credentials. If somebody has typed a
 * credential there, that one counts until the page is loaded again.
 */
export async function start(show) {
  const { tenants } = await call('GET', '/demo-issuer/members');
  const people = new Map();
  const option = (tenant, { email, name, roles, status }) => {
    const value = `${tenant.slug} ${email}`;
    people.set(value, { tenant, email, name });
    const rights = status === 'active' ? roles : [...roles, status];
    return make('option', { value }, `${name} (${rights.join(', ')}), ${email}`);
  };
  const group = (tenant) =>
    make('optgroup', { label: tenant.name }, ...tenant.members.map((member) => option(tenant, member)));

  const choice = make('select', { id: 'demo-member' }, ...tenants.map(group));
  const enter = make('button', { type: 'button' }, 'Sign in');
  const leave = make('button', { type: 'button', hidden: '' }, 'Sign out');
  const said = make('p', { role: 'status' });
  const label = make('label', { for: 'demo-member' }, 'Sign in as');
  const bar = make('section', { class: 'sign-in', 'aria-label': 'Demo sign-in' }, label, choice, enter, leave, said);
  document.head.append(make('style', {}, CSS));
  document.getElementById('reference').before(bar);
  // The reference leaves this much free above what it scrolls to. The bar has a second line if the window is narrow.
  const property = '--scalar-custom-header-height';
  new ResizeObserver(() => document.body.style.setProperty(property, `${bar.offsetHeight}px`)).observe(bar);

  // The tokens are in this variable and in the reference, and nowhere else in the browser.
  let session = null;
  const end = async () => {
    if (session) await call('POST', '/oauth/revoke', { token: session.session_token });
    session = null;
  };

  const signIn = async () => {
    const { tenant, email, name } = people.get(choice.value);
    const { id_token: token } = await call('POST', '/demo-issuer/token', { tenant: tenant.slug, email });
    const begun = await call('POST', '/v1/sessions', {
      grant_type: GRANT,
      subject_token: token,
      subject_token_type: ID_TOKEN,
      audience: tenant.slug,
      cookie: false,
    });
    await end();
    session = begun;
    show({ bearer: begun.access_token, session: begun.session_token });
    leave.hidden = false;
    return `You are ${name} of ${tenant.name} for ${begun.expires_in / 60} minutes. X-Tenant-ID: ${tenant.id}`;
  };

  const signOut = async () => {
    await end();
    show({ bearer: '', session: '' });
    // A button that is hidden would take the focus with it.
    choice.focus();
    leave.hidden = true;
    return 'You have signed out. The calls have no credential now.';
  };

  // One after the other: the next click waits for the answers to this one.
  let turn = Promise.resolve();
  const onClick = (button, act) =>
    button.addEventListener('click', () => {
      const told = turn.then(act).catch((error) => `That has failed: ${error.message}`);
      turn = told.then((text) => (said.textContent = text));
    });
  onClick(enter, signIn);
  onClick(leave, signOut);
}
