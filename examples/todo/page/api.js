// The backend as this page needs it: sign-in, documents, a live feed, files.
// Everything is under `base`, the path at which the server mounts the backend.

const base = new URL("api", document.baseURI).href;
const KEY = "todo.session";

/** A refusal, with the backend's code and its sentence for people. */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail || body?.title || `The server answered ${status}.`);
    this.status = status;
    this.code = body?.code;
  }
}

/** The session all windows of this browser share, or nothing. */
export function session() {
  try {
    return JSON.parse(localStorage.getItem(KEY));
  } catch {
    return null;
  }
}

function remember(answer) {
  const kept = { user: answer.user, access_token: answer.access_token, refresh_token: answer.refresh_token };
  localStorage.setItem(KEY, JSON.stringify(kept));
  return kept;
}

async function refused(response) {
  const body = await response.json().catch(() => null);
  return new Problem(response.status, body);
}

async function open(path, credentials) {
  const response = await fetch(base + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(credentials),
  });
  if (!response.ok) throw await refused(response);
  return remember(await response.json());
}

export const register = (email, password) => open("/auth/register", { email, password });
export const login = (email, password) => open("/auth/login", { email, password });

export async function logout() {
  const known = session();
  localStorage.removeItem(KEY);
  if (known) {
    await fetch(base + "/auth/logout", {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${known.access_token}` },
      body: JSON.stringify({ refresh_token: known.refresh_token }),
    }).catch(() => {});
  }
}

/** A new access token. Windows of one browser take turns, so that one of them refreshes and the others find its token. */
async function renew(stale) {
  const work = async () => {
    const known = session();
    if (!known) throw new Problem(401, { detail: "Please sign in." });
    if (known.access_token !== stale) return known;
    try {
      return await open("/auth/refresh", { refresh_token: known.refresh_token });
    } catch (problem) {
      if (problem.status === 401) localStorage.removeItem(KEY);
      throw problem;
    }
  };
  return navigator.locks ? navigator.locks.request(KEY, work) : work();
}

/** A request with the session's token; an expired one is renewed once. */
async function request(path, options = {}) {
  let known = session();
  for (let attempt = 0; ; attempt += 1) {
    if (!known) throw new Problem(401, { detail: "Please sign in." });
    const headers = { ...options.headers, authorization: `Bearer ${known.access_token}` };
    const response = await fetch(base + path, { ...options, headers });
    if (response.ok) return response;
    if (response.status !== 401 || attempt > 0) throw await refused(response);
    known = await renew(known.access_token);
  }
}

const json = (method, type, body) => ({ method, headers: { "content-type": type }, body: JSON.stringify(body) });

/** A collection of documents. */
export function collection(name) {
  const at = (id) => `/db/${name}/${encodeURIComponent(id)}`;
  return {
    /** Every document, and the place in the feed from which changes follow. */
    async all() {
      const items = [];
      let since = null;
      let cursor = null;
      do {
        const page = await request(`/db/${name}?limit=500${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
        // The first page's place: what changes while the others are read comes again as a change.
        since ??= page.headers.get("feed-cursor");
        const body = await page.json();
        items.push(...body.items);
        cursor = body.next_cursor;
      } while (cursor);
      return { items, since };
    },
    create: async (body) => (await request(`/db/${name}`, json("POST", "application/json", body))).json(),
    patch: async (id, body) => (await request(at(id), json("PATCH", "application/merge-patch+json", body))).json(),
    remove: async (id) => void (await request(at(id), { method: "DELETE" })),
    follow: (since, listener) => follow(name, since, listener),
  };
}

/**
 * Follows the changes of a collection after `since`, through every loss of the connection.
 * `listener.change(frame)` is called for each change, `listener.state(name)` when the connection comes or goes, and
 * `listener.resync()` when changes were missed for good and everything must be read again. Returns a function that ends it.
 */
function follow(name, since, listener) {
  let socket = null;
  let ended = false;
  let waited = 250;
  let cursor = since;
  let rejected = null; // a token the server no longer takes

  async function connect() {
    if (ended) return;
    listener.state("connecting");
    let known = session();
    try {
      if (known && known.access_token === rejected) known = await renew(rejected);
    } catch (problem) {
      if (problem.status === 401) return listener.signedOut();
      return later();
    }
    if (!known) return listener.signedOut();
    socket = new WebSocket(base.replace(/^http/, "ws") + "/realtime");
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: "auth", token: known.access_token }));
      socket.send(JSON.stringify({ type: "subscribe", ref: "1", collection: name, since: cursor }));
    };
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.type === "subscribed") {
        waited = 250;
        listener.state("live");
      } else if (frame.type === "change") {
        cursor = frame.cursor;
        listener.change(frame);
      } else if (frame.type === "heartbeat") {
        cursor = frame.cursor ?? cursor;
      } else if (frame.type === "resync") {
        cursor = frame.cursor;
        listener.resync();
      } else if (frame.type === "error") {
        rejected = known.access_token;
        socket.close();
      }
    };
    socket.onclose = ({ code }) => {
      if (code >= 4400 && code < 4500) rejected = known.access_token;
      later();
    };
  }

  function later() {
    if (ended) return;
    listener.state("connecting");
    setTimeout(connect, waited * (0.75 + Math.random() / 2));
    waited = Math.min(waited * 2, 10_000);
  }

  connect();
  return () => {
    ended = true;
    socket?.close();
  };
}

// A key comes out of a document that somebody else may have written: `..` in it would lead to another route.
const object = (bucket, key) => {
  const parts = String(key).split("/");
  if (parts.some((part) => ["", ".", ".."].includes(part))) throw new Problem(400, { detail: "This is no file's key." });
  return `/storage/${bucket}/${parts.map(encodeURIComponent).join("/")}`;
};

/** Stores a file under a key. */
export async function upload(bucket, key, file) {
  const headers = { "content-type": file.type || "application/octet-stream" };
  await request(object(bucket, key), { method: "PUT", headers, body: file });
}

/** Deletes a file; one that is gone already is gone. */
export async function discard(bucket, key) {
  await request(object(bucket, key), { method: "DELETE" }).catch((problem) => {
    if (problem.status !== 404) throw problem;
  });
}

/** The bytes of a file. */
export async function download(bucket, key) {
  return (await request(object(bucket, key))).blob();
}
