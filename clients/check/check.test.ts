// Asks a server (URL), with a token of an owner of `acme` (ACCESS), and servers of its own that fail.

import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";

import { Checker, Refused, type Options, type Question } from "./check.js";

const url = process.env["URL"]!;
const token = () => process.env["ACCESS"]!;
const user = (number: number) => `726f6c65-6361-8002-8000-${number.toString(16).padStart(12, "0")}`;
const [uma, bill] = [user(3), user(4)];
const invoice = { type: "billing", id: "inv-7" };
const mayWrite = (subject: string): Question => ({ subject, action: "write", resource: invoice });

/** Counts the requests that it sends. */
function counted(): { fetch: typeof fetch; sizes: number[] } {
  const sizes: number[] = [];
  const send: typeof fetch = (input, init) => {
    sizes.push((JSON.parse(init!.body as string) as { evaluations: unknown[] }).evaluations.length);
    return fetch(input, init);
  };
  return { fetch: send, sizes };
}

/** Runs with a server that answers like that. */
async function withServer(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  run: (options: Options) => Promise<void>,
): Promise<void> {
  const server = createServer((request, response) => {
    request.resume().on("end", () => answer(request, response));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  try {
    await run({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, token, timeout: 300 });
  } finally {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  }
}

test("questions of the same tick go together, and each gets its own answer", async () => {
  const { fetch, sizes } = counted();
  const checker = new Checker({ url: `${url}/`, token, fetch });
  const [one, other, own] = await Promise.all([
    checker.allowed(mayWrite(bill)),
    checker.ask(mayWrite(uma)),
    checker.ask({ ...mayWrite(bill), context: { explain: true } }),
  ]);
  assert.deepEqual([one, other.allowed, other.rule], [true, false, "not-permitted"]);
  assert.ok(own.allowed && own.explanation, JSON.stringify(own));
  const many = await Promise.all(Array.from({ length: 250 }, (_, place) => checker.allowed(mayWrite(place % 2 ? bill : uma))));
  assert.ok(many.every((allowed, place) => allowed === (place % 2 === 1)));
  assert.deepEqual(sizes, [3, 100, 100, 50]);
});

test("long questions are spread over several requests", async () => {
  const { fetch, sizes } = counted();
  const checker = new Checker({ url, token, fetch });
  const long: Question = { ...mayWrite(bill), context: { text: "x".repeat(4_000) } };
  const answers = await Promise.all(Array.from({ length: 40 }, () => checker.ask(long)));
  assert.ok(answers.every(({ allowed, failure }) => allowed && !failure), JSON.stringify(answers[0]));
  assert.ok(sizes.length > 2 && sizes.reduce((sum, size) => sum + size) === 40, sizes.join());
});

test("no answer is kept", async () => {
  const checker = new Checker({ url, token });
  const headers = {
    authorization: `Bearer ${token()}`,
    "content-type": "application/json",
    "x-tenant-id": "726f6c65-6361-8001-8000-000000000001",
  };
  const give = async (roles: string[]) => {
    const body = JSON.stringify({ roles });
    const { status } = await fetch(`${url}/v1/users/${uma}`, { method: "PATCH", headers, body });
    assert.equal(status, 200);
  };
  for (const [roles, may] of [[["user", "billing-manager"], true], [["user"], false]] as const) {
    await give([...roles]);
    assert.equal(await checker.allowed(mayWrite(uma)), may);
  }
});

test("a question with a fault spoils no other, and a refusal always rejects", async () => {
  for (const onFailure of ["closed", "open", "throw"] as const) {
    const checker = new Checker({ url, token, onFailure });
    const [good, faulty] = await Promise.allSettled([
      checker.allowed(mayWrite(bill)),
      checker.allowed({ ...mayWrite(bill), resource: { type: "billing" } as Question["resource"] }),
    ]);
    assert.deepEqual(good, { status: "fulfilled", value: true });
    assert.ok(faulty.status === "rejected" && faulty.reason instanceof Refused && faulty.reason.status === 400);
    const stranger = new Checker({ url, token: () => "x", onFailure });
    await assert.rejects(stranger.allowed(mayWrite(bill)), { name: "Refused", status: 401 });
    const without = new Checker({ url, token: () => Promise.reject(new Error("no token")), onFailure });
    await assert.rejects(without.allowed(mayWrite(bill)), /no token/);
  }
});

test("if nobody can be asked, that counts which was chosen", async () => {
  const failures: [string, (request: IncomingMessage, response: ServerResponse) => void][] = [
    ["500", (_, response) => response.writeHead(500).end("no")],
    ["429", (_, response) => response.writeHead(429).end("no")],
    ["no answer", () => {}],
    ["a cut", (_, response) => response.destroy()],
    ["not JSON", (_, response) => response.end("<html>")],
    ["another answer", (_, response) => response.end('{"evaluations":[]}')],
    ["no decision", (_, response) => response.end('{"evaluations":[{"decision":"true"}]}')],
    ["a redirect", (_, response) => response.writeHead(302, { location: `${url}/access/v1/evaluations` }).end()],
  ];
  for (const [name, answer] of failures) {
    await withServer(answer, async (options) => {
      for (const [onFailure, allowed] of [[undefined, false], ["closed", false], ["open", true]] as const) {
        const checker = new Checker(onFailure ? { ...options, onFailure } : options);
        const decided = await checker.ask(mayWrite(bill));
        assert.equal(decided.allowed, allowed, name);
        assert.ok(decided.failure instanceof Error, name);
      }
      await assert.rejects(new Checker({ ...options, onFailure: "throw" }).ask(mayWrite(bill)), Error, name);
    });
  }
});
