// The gateway's API as the page calls it: key, JSON, errors. Knows HTTP; knows no view.
const BASE = new URL("../", import.meta.url); // holds behind a proxy that serves the gateway below a path of its own
const KEPT = "thinkgate.key";
let key = read();
let asking = null; // one question for a key at a time, whoever needs it
let askForKey = () => Promise.reject(new Error("no way to ask for a key"));

function read() {
  try {
    return sessionStorage.getItem(KEPT) ?? "";
  } catch {
    return "";
  }
}

/** A failure that the API told, or that the network made (status 0). */
export class ApiError extends Error {
  constructor(status, message, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** How to ask a person for a key: a function from the last refusal's message to a promise of a key. */
export function onKeyWanted(ask) {
  askForKey = ask;
}

/** Keep a key for this tab; an empty one forgets it. */
export function keepKey(value) {
  key = value;
  try {
    if (value) sessionStorage.setItem(KEPT, value);
    else sessionStorage.removeItem(KEPT);
  } catch {
    // It holds until the page is left, then.
  }
}

/** Has a key been given? */
export const hasKey = () => key !== "";

const headers = (more = {}) => (key ? { authorization: `Bearer ${key}`, ...more } : more);

async function failure(response) {
  let said = null;
  try {
    said = (await response.json()).error;
  } catch {
    // Not the gateway's own words: a proxy's, perhaps.
  }
  return new ApiError(response.status, said?.message ?? `HTTP ${response.status}`, said?.code ?? "");
}

async function send(path, options) {
  let response;
  try {
    response = await fetch(new URL(path, BASE), { ...options, headers: headers(options.headers), cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, String(error.message ?? error));
  }
  if (!response.ok) throw await failure(response);
  return response;
}

/** A response with status 2xx. Asks for a key where one is wanted, and tries again. Raises ApiError. */
async function call(path, options = {}) {
  for (;;) {
    const used = key;
    try {
      return await send(path, options);
    } catch (error) {
      if (error.status !== 401) throw error;
      if (used !== key) continue; // another call has asked meanwhile
      asking ??= askForKey(used ? error.message : "").finally(() => (asking = null));
      await asking;
    }
  }
}

/** GET, as JSON. */
export const get = async (path) => (await call(path)).json();

/** GET, as text. */
export const getText = async (path) => (await call(path)).text();

const post = (path, body, more = {}) =>
  call(path, { method: "POST", body: JSON.stringify(body), ...more, headers: { "content-type": "application/json", ...more.headers } });

/** POST, as JSON; null where there is no body. */
export async function postJson(path, body, more = {}) {
  const words = await (await post(path, body, more)).text();
  return words ? JSON.parse(words) : null;
}

/** POST, as the response, whose body is still to come. */
export const postStream = (path, body, signal) => post(path, body, { signal });

/** Whether the key is good: resolves with nothing, or raises ApiError. Never asks for another. */
export async function tryKey(value) {
  const response = await fetch(new URL("v1/models", BASE), { headers: { authorization: `Bearer ${value}` }, cache: "no-store" });
  if (!response.ok) throw await failure(response);
}
