// The HTTP API as the page asks it. The key is kept for this tab alone, and never becomes part of an address.

const KEY = "evenhand.key";
const ROOT = new URL("../..", import.meta.url); // where this service is, under whatever path a proxy shows it

/** A refusal: an RFC 9457 document of the service, or (status 0) no answer at all. */
export class Problem extends Error {
  constructor(status, members, retryAfter) {
    super(members.detail ?? members.title ?? `HTTP ${status}`);
    this.status = status;
    this.code = members.code ?? "";
    this.members = members;
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may well be answered in a moment. */
  get passes() {
    return [0, 429, 502, 503, 504].includes(this.status);
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  keep: (secret) => sessionStorage.setItem(KEY, secret),
  forget: () => sessionStorage.removeItem(KEY),
};

/** One request, answered: JSON, or text where `as` says so. Throws a Problem, or AbortError. */
export async function ask(path, { method = "GET", body, signal, as = "json", secret = key.get() } = {}) {
  const headers = {};
  if (secret) headers.authorization = `Bearer ${secret}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const sent = {
    method,
    headers,
    signal,
    body: body === undefined ? undefined : JSON.stringify(body),
    redirect: "error",
  };
  let answer, text;
  try {
    answer = await fetch(new URL(path.slice(1), ROOT), sent);
    text = await answer.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { title: "No answer", detail: "the service does not answer", code: "no_answer" });
  }
  if (answer.ok) return as === "text" ? text : JSON.parse(text);
  throw new Problem(answer.status, membersOf(text), Number(answer.headers.get("retry-after")) || null);
}

/** A path with its query; null and undefined parameters are left out. */
export function withQuery(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters))
    if (value !== null && value !== undefined) query.set(name, value);
  return query.size ? `${path}?${query}` : path;
}

function membersOf(text) {
  try {
    const members = JSON.parse(text);
    return typeof members === "object" && members !== null ? members : {};
  } catch {
    return {}; // from a proxy in between, not from the service
  }
}
