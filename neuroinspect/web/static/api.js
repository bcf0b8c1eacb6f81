// Speaks to the page's JSON addresses, and says what went wrong in words.

export class ApiError extends Error {
  /** @param {number} status 0 where no answer came. @param {string} kind class of the error, as the server names it. */
  constructor(message, status, kind) {
    super(message);
    this.status = status;
    this.kind = kind;
  }
}

const csrf = () => document.querySelector('meta[name="csrf"]')?.content ?? "";

/** Send a request and read its JSON answer; throws an ApiError that can be shown as it is. */
export async function send(method, url, body, { signal } = {}) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = csrf();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(url, {
      method,
      headers,
      signal,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      keepalive: method !== "GET",
    });
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new ApiError("The server cannot be reached. Is it still running?", 0, "Unreachable");
  }
  const text = await answer.text();
  let record = null;
  try {
    record = text === "" ? null : JSON.parse(text);
  } catch {
    record = null;
  }
  if (answer.ok) return record;
  throw new ApiError(wording(answer.status, record), answer.status, record?.kind ?? "");
}

function wording(status, record) {
  if (status === 401) return "You are not logged in any more. Reload the page to log in.";
  if (typeof record?.error === "string") return record.error;
  if (typeof record?.detail === "string") return record.detail;
  return `The server answered ${status}. Reload the page and try again.`;
}
