// A receiver of webhooks that checks each delivery with the package of Standard Webhooks: node test.mjs API_URL
//
// OWNER is an access token of the owner of acme.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { setTimeout as after } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';

const [api] = process.argv.slice(2);
const { OWNER } = process.env;
if (!api || !OWNER) {
  console.error('usage: OWNER=TOKEN node test.mjs API_URL');
  process.exit(2);
}
const ACME = '726f6c65-6361-8001-8000-000000000001';
// Milliseconds until a delivery must be there.
const SOON = 30_000;

/** Calls the product; returns the JSON of an answer with that status. */
async function does(status, method, path, body) {
  const headers = { authorization: `Bearer ${OWNER}`, 'content-type': 'application/json', 'x-tenant-id': ACME };
  const answer = await fetch(api + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  assert.equal(answer.status, status, `${method} ${path}: ${text}`);
  return text ? JSON.parse(text) : null;
}

const deliveries = [];
const receiver = createServer(async (request, response) => {
  const chunks = await request.toArray();
  deliveries.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
  response.writeHead(deliveries.length === 1 ? 500 : 204).end();
});
await new Promise((ready) => receiver.listen(0, '127.0.0.1', ready));
const url = `http://127.0.0.1:${receiver.address().port}/hook`;

async function delivered(count) {
  for (let until = Date.now() + SOON; deliveries.length < count; ) {
    assert(Date.now() < until, `${deliveries.length} deliveries of ${count}`);
    await after(20);
  }
  return deliveries[count - 1];
}

const webhook = await does(201, 'POST', '/v1/webhooks', { name: 'Test', url, kinds: ['label'] });
try {
  const label = await does(201, 'POST', '/v1/labels', { name: `Label ${Date.now()}` });
  // The first answer is an error: the same comes again.
  const [refused, first] = [await delivered(1), await delivered(2)];
  const event = new Webhook(webhook.secret).verify(first.body, first.headers);
  assert.equal(refused.headers['webhook-id'], first.headers['webhook-id']);
  assert.deepEqual([event.type, event.subject], ['rolecall.label.created', `label:${label.id}`]);
  assert.throws(() => new Webhook(webhook.secret).verify(first.body.replace('label', 'lapel'), first.headers));

  const rotated = await does(200, 'POST', `/v1/webhooks/${webhook.id}/rotate`, {});
  await does(204, 'DELETE', `/v1/labels/${label.id}`);
  const second = await delivered(3);
  for (const secret of [webhook.secret, rotated.secret]) {
    assert.equal(new Webhook(secret).verify(second.body, second.headers).type, 'rolecall.label.deleted');
  }
} finally {
  await does(204, 'DELETE', `/v1/webhooks/${webhook.id}`);
  receiver.close();
}
console.log(`${deliveries.length} deliveries, signed as the standard says`);
