// An identity provider on this machine: the npm package `oidc-provider`, certified by the OpenID Foundation. It takes any address and
// any password.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

/** Starts it. `clients` are the ids of the apps that it signs people in to; each has its page of return at `redirect`. */
export async function start(clients, redirect) {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const iss = `http://127.0.0.1:${server.address().port}`;
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const provider = new Provider(iss, {
    clients: clients.map((client_id) => ({
      client_id,
      redirect_uris: [redirect],
      response_types: ['code'],
      grant_types: ['authorization_code'],
      token_endpoint_auth_method: 'none',
      require_auth_time: true,
    })),
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256' }] },
    // Lifetimes in seconds. The provider prints a notice for each one that is missing.
    ttl: { AccessToken: 600, Grant: 600, IdToken: 600, Interaction: 600, Session: 600 },
    cookies: { keys: ['of this test'] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'] },
    // Otherwise the address would only be at the provider's own endpoint, which Rolecall does not call.
    conformIdTokenClaims: false,
    pkce: { required: () => true, methods: ['S256'] },
    findAccount: (_, email) => ({ accountId: email, claims: () => ({ sub: email, email, email_verified: true }) }),
  });
  server.on('request', provider.callback());
  return { iss, close: () => server.close() };
}
