// Asks Rolecall whether members may do something: AuthZEN, `POST /access/v1/evaluations`.
//
// Questions of the same tick go together, up to 100 in a request. No answer is kept: it was true when it was given, and the next
// change can make it false.

/** A member, by their UUID, or a thing. The properties are for the tenant's policies. */
export interface Entity {
  type: string;
  id: string;
  properties?: Record<string, unknown>;
}

export interface Question {
  /** The member's UUID. */
  subject: string | Entity;
  /** A permission, such as `invoice:read`, or the part behind the type of the resource. */
  action: string | { name: string; properties?: Record<string, unknown> };
  resource: Entity;
  /** What you know beside the question, for the tenant's policies. `explain: true` asks for the roles that decided. */
  context?: Record<string, unknown>;
}

export interface Answer {
  allowed: boolean;
  /** The rule that denies. */
  rule?: string;
  /** What the policies say that decided. */
  notices: string[];
  /** The roles that grant or deny the permission, if the question asks for them. */
  explanation?: unknown;
  /** Why Rolecall could not be asked. Then `allowed` is what `onFailure` says. */
  failure?: Error;
}

export interface Options {
  /** The URL of the API. */
  url: string;
  /** Gives an access token, or an API key, of a caller with the permission `decision:check`. It is asked before each request. */
  token: () => string | Promise<string>;
  /**
   * What counts if Rolecall cannot be asked: no answer in time, 429, 5xx. `closed`, the default, denies; `open` allows; `throw` rejects.
   * An answer that says that the request is wrong always rejects.
   */
  onFailure?: "closed" | "open" | "throw";
  /** How long a request may take, in milliseconds; 2,000 by default. */
  timeout?: number;
  fetch?: typeof fetch;
}

/** Rolecall has refused the request, or one question of it: 400, 401, 403. Asking again changes nothing. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
    this.name = "Refused";
  }
}

/** The most questions of a request, and the most bytes of all of them: a body may have 64 KiB. */
const MAX_QUESTIONS = 100;
const MAX_BYTES = 60_000;

interface Waiting {
  /** The question as JSON. */
  question: string;
  resolve: (answer: Answer) => void;
  reject: (why: unknown) => void;
}

interface Evaluation {
  decision: boolean;
  context?: {
    rule?: string;
    notices?: string[];
    explanation?: unknown;
    error?: { status: number; message: string };
  };
}

export class Checker {
  #waiting: Waiting[] = [];
  readonly #options: Options;
  readonly #endpoint: string;

  constructor(options: Options) {
    this.#options = options;
    this.#endpoint = `${options.url.replace(/\/+$/, "")}/access/v1/evaluations`;
  }

  /** Whether a member may do something now. */
  async allowed(question: Question): Promise<boolean> {
    return (await this.ask(question)).allowed;
  }

  /** The same with the reasons. */
  ask(question: Question): Promise<Answer> {
    return new Promise((resolve, reject) => {
      // The first question of a tick waits for the others.
      if (this.#waiting.push({ question: JSON.stringify(evaluation(question)), resolve, reject }) === 1) {
        setImmediate(() => this.#flush());
      }
    });
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (let from = 0; from < waiting.length; ) {
      let [to, bytes] = [from, 0];
      for (const { question } of waiting.slice(from, from + MAX_QUESTIONS)) {
        bytes += Buffer.byteLength(question) + 1;
        // One that is too long by itself is refused alone.
        if (bytes > MAX_BYTES && to > from) break;
        to += 1;
      }
      const batch = waiting.slice(from, to);
      this.#send(batch).catch((why: unknown) => batch.forEach(({ reject }) => reject(why)));
      from = to;
    }
  }

  async #send(batch: Waiting[]): Promise<void> {
    // Without a token nothing can be asked: that is no failure of Rolecall.
    const token = await this.#options.token();
    let evaluations: Evaluation[];
    try {
      evaluations = await this.#evaluate(token, batch.map(({ question }) => question));
    } catch (why) {
      const { onFailure = "closed" } = this.#options;
      if (why instanceof Refused || onFailure === "throw") throw why;
      const failure = why instanceof Error ? why : new Error(String(why));
      batch.forEach(({ resolve }) => resolve({ allowed: onFailure === "open", notices: [], failure }));
      return;
    }
    evaluations.forEach(({ decision, context }, place) => {
      const { resolve, reject } = batch[place]!;
      if (context?.error) return reject(new Refused(context.error.status, context.error.message));
      const answer: Answer = { allowed: decision, notices: context?.notices ?? [] };
      if (context?.rule !== undefined) answer.rule = context.rule;
      if (context?.explanation !== undefined) answer.explanation = context.explanation;
      resolve(answer);
    });
  }

  async #evaluate(token: string, questions: string[]): Promise<Evaluation[]> {
    const { fetch: send = fetch, timeout = 2_000 } = this.#options;
    const response = await send(this.#endpoint, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: `{"evaluations":[${questions.join()}]}`,
      redirect: "error",
      signal: AbortSignal.timeout(timeout),
    });
    const text = await response.text();
    if (response.status === 429 || response.status >= 500) {
      throw new Error(`Rolecall answered ${response.status}`);
    }
    if (!response.ok) throw new Refused(response.status, messageOf(text));
    const { evaluations } = JSON.parse(text) as { evaluations?: Evaluation[] };
    // Nothing but `true` allows, and each question has its answer.
    if (evaluations?.length !== questions.length || !evaluations.every(({ decision }) => typeof decision === "boolean")) {
      throw new Error("Rolecall gave an answer that is none");
    }
    return evaluations;
  }
}

function evaluation({ subject, action, resource, context }: Question): object {
  return {
    subject: typeof subject === "string" ? { type: "user", id: subject } : subject,
    action: typeof action === "string" ? { name: action } : action,
    resource,
    ...(context && { context }),
  };
}

/** The message of a refusal: a JSON text. */
function messageOf(text: string): string {
  try {
    const message: unknown = JSON.parse(text);
    return typeof message === "string" ? message : text;
  } catch {
    return text;
  }
}
