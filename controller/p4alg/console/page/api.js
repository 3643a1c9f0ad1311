// Requests to the console. A failure is one line that says what to do.

export class Failure extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

let token = "";

// What the console gave at the login, to be sent with each request that changes something.
export function setToken(value) {
  token = value;
}

export async function request(method, path, body, signal) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET") headers["X-CSRF-Token"] = token;
  let answer;
  try {
    answer = await fetch(`/api/${path}`, {
      method,
      headers,
      signal,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The console does not answer: see whether it still runs.", 0);
  }
  if (answer.status === 204) return null;
  let data = null;
  try {
    data = await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The console answered something that cannot be read.", answer.status);
  }
  if (!answer.ok) throw new Failure(data.error ?? "That failed.", answer.status);
  return data;
}

export const get = (path, signal) => request("GET", path, undefined, signal);

// A path under a device, with the parameters that have a value.
export function at(device, path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, v]) => v !== "" && v !== null && v !== undefined);
  const query = new URLSearchParams(given).toString();
  return `devices/${encodeURIComponent(device)}/${path}${query ? `?${query}` : ""}`;
}
