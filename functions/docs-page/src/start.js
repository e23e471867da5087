// Starts the API reference. A file of its own, since the page's policy takes no script from the page itself.

// Scalar gives the nonce to the first of its three style sheets only.
const nonce = document.querySelector('meta[property=csp-nonce]').content;
const { createElement } = document;
document.createElement = (...args) => {
  const element = createElement.apply(document, args);
  if (element instanceof HTMLStyleElement) element.nonce = nonce;
  return element;
};

// Whatever stands before `docs`: the origin, and on AWS the stage.
const base = new URL('.', location.href).href.replace(/\/$/, '');

const demo = JSON.parse(document.getElementById('credentials')?.textContent ?? 'null');
const authentication = ({ bearer, session }) => ({
  securitySchemes: {
    bearer: { token: bearer },
    sessionToken: { value: session },
    sessionCookie: { value: session },
  },
});

const CSS = `
.light-mode { --scalar-color-accent: #4f46e5; }
.dark-mode { --scalar-color-accent: #a5b4fc; }
/* build.rs has taken it out of the markup. */
.hljs { --line-digits: 2; }
/* A menu of the languages that are tabs already, and a drawing. */
.client-libraries__select, .ascii-art { display: none !important; }
`;

// The editor of a body would indent with the tab key, and who has no mouse would not get out of it.
const keepTab = (event) => {
  if (event.key === 'Tab' && event.target.closest('.cm-content')) event.stopImmediatePropagation();
};
addEventListener('keydown', keepTab, { capture: true });

// Modules run before this event, and so does Scalar's script.
addEventListener('DOMContentLoaded', () => {
  const configuration = {
    title: 'Rolecall',
    url: `${base}/openapi.json`,
    servers: [{ url: base }],
    ...(demo && { authentication: authentication(demo) }),

    // Nothing leaves for another host.
    agent: { disabled: true },
    hideClientButton: true,
    mcp: { disabled: true },
    showDeveloperTools: 'never',
    telemetry: false,
    withDefaultFonts: false,

    customCss: CSS,
    defaultOpenAllTags: true,
    documentDownloadType: 'direct',
    featuredClients: ['shell/curl', 'python/requests', 'js/fetch', 'go/native', 'ruby/native'],
    hiddenClients: [
      ...['c', 'clojure', 'csharp', 'dart', 'fsharp', 'http', 'java', 'julia', 'kotlin', 'node', 'objc', 'ocaml'],
      ...['php', 'powershell', 'r', 'rust', 'swift', 'js/jquery', 'js/ofetch', 'js/xhr', 'js/axios'],
      ...['python/aiohttp', 'python/httpx_async', 'python/httpx_sync', 'python/python3', 'shell/httpie', 'shell/wget'],
    ],
    hideModels: true,
    orderSchemaPropertiesBy: 'preserve',
  };
  const reference = Scalar.createApiReference('#reference', configuration);
  if (demo?.script) {
    // Whoever serves the page for demonstration also has a script that gets other credentials. Nobody does on AWS.
    const show = (credentials) =>
      reference.updateConfiguration({ ...configuration, authentication: authentication(credentials) });
    import(demo.script).then(({ start }) => start(show));
  }
});
