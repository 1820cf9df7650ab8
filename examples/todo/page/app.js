// What the page shows. Every text that a person wrote goes in as text, never as HTML.

import { Problem, collection, discard, download, login, logout, register, session, upload } from "./api.js";

const BUCKET = "attachments";
const LARGEST_FILE = 25 * 1024 * 1024;
const todos = collection("todos");
const find = (selector) => document.querySelector(selector);

const known = new Map(); // id -> document
let shown = "all";
let leave = () => {}; // ends the live feed
let visit = 0; // counts sign-ins, so that an answer for an earlier one is dropped

// --- messages

function say(problem) {
  const box = find("#message");
  box.textContent = problem ? problem.message || String(problem) : "";
  box.hidden = !problem;
}

/** Runs what a person asked for, and shows why it did not work. */
async function attempt(work, control) {
  say(null);
  if (control) control.disabled = true;
  try {
    await work();
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 401 && visitor && !session()) return enter();
    say(problem instanceof TypeError ? new Error("The server cannot be reached. Try again.") : problem);
  } finally {
    if (control) control.disabled = false;
  }
}

// --- the door

find("#sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  const enterBy = event.submitter?.value === "register" ? register : login;
  attempt(async () => {
    await enterBy(form.email.value, form.password.value);
    form.reset();
    await enter();
  }, event.submitter);
});

find("#sign-out").addEventListener("click", () => attempt(async () => {
  await logout();
  await enter();
}));

// Another window signed in, out or as somebody else.
window.addEventListener("storage", () => {
  if (session()?.user?.id !== visitor) enter();
});

let visitor;

/** Shows the list of whoever is signed in, or the door. */
async function enter() {
  leave();
  leave = () => {};
  known.clear();
  visit += 1;
  const current = session();
  visitor = current?.user?.id;
  find("#door").hidden = Boolean(current);
  find("#room").hidden = !current;
  find("#account").hidden = !current;
  find("#who").textContent = current?.user?.email ?? "";
  draw();
  if (!current) return find("#email").focus();
  await load(visit);
  find("#title").focus();
}

/** Reads everything, then follows what changes from that very place on. */
async function load(mine) {
  const { items, since } = await todos.all();
  if (mine !== visit) return;
  known.clear();
  for (const item of items) known.set(item.id, item);
  draw();
  leave();
  leave = todos.follow(since, {
    change(frame) {
      if (mine !== visit) return;
      if (frame.document) known.set(frame.id, frame.document);
      else known.delete(frame.id);
      draw();
    },
    state(name) {
      if (mine !== visit) return;
      find("#connection").dataset.state = name;
      find("#connection").textContent = name;
    },
    resync: () => mine === visit && attempt(() => load(mine)),
    signedOut: () => mine === visit && enter(),
  });
}

// --- the list

find("#add").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = find("#title");
  const title = field.value.trim();
  if (!title) return;
  attempt(async () => {
    take(await todos.create({ title, done: false }));
    field.value = "";
    field.focus();
  }, event.submitter);
});

find("#shown").addEventListener("click", ({ target }) => {
  if (!target.dataset.show) return;
  shown = target.dataset.show;
  for (const button of find("#shown").children) button.setAttribute("aria-pressed", String(button === target));
  draw();
});

/** Our own write, shown at once; the feed brings it again, which changes nothing. */
function take(todo) {
  known.set(todo.id, todo);
  draw();
}

async function attach(todo, file) {
  if (file.size > LARGEST_FILE) throw new Error("A file may have 25 MiB at most.");
  // A key of its own for every upload: whoever still holds the old document reads the old file.
  const key = `${todo.id}/${crypto.randomUUID()}`;
  await upload(BUCKET, key, file);
  take(await todos.patch(todo.id, { file: { key, name: file.name, size: file.size } }));
  if (todo.file) await discard(BUCKET, todo.file.key);
}

async function fetchFile({ key, name }) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await download(BUCKET, key));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function remove(todo) {
  await todos.remove(todo.id);
  known.delete(todo.id);
  draw();
  if (todo.file) await discard(BUCKET, todo.file.key);
}

const lines = new Map(); // id -> the <li> that shows it

/** The line of a todo; made once, so that focus and a half-made click survive what others change. */
function line(id) {
  const made = lines.get(id);
  if (made) return made;
  const li = find("#item").content.firstElementChild.cloneNode(true);
  const current = () => known.get(id);
  const check = li.querySelector("input[type=checkbox]");
  check.addEventListener("change", () => attempt(async () => take(await todos.patch(id, { done: check.checked }))).then(draw));
  const chosen = li.querySelector("input[type=file]");
  chosen.addEventListener("change", () => attempt(async () => {
    const [file] = chosen.files;
    if (file) await attach(current(), file);
    chosen.value = "";
  }, chosen));
  li.querySelector(".file").addEventListener("click", ({ target }) => attempt(() => fetchFile(current().file), target));
  li.querySelector(".remove").addEventListener("click", ({ currentTarget }) => attempt(() => remove(current()), currentTarget));
  lines.set(id, li);
  return li;
}

function draw() {
  const all = [...known.values()].sort((a, b) => (a.id < b.id ? 1 : -1)); // ids are ordered by time: newest first
  const visible = all.filter((todo) => shown === "all" || (shown === "done") === Boolean(todo.done));
  for (const id of lines.keys()) if (!known.has(id)) lines.delete(id);
  const list = find("#list");
  const wanted = visible.map((todo) => {
    const li = line(todo.id);
    const title = typeof todo.title === "string" ? todo.title : "(no title)";
    li.className = todo.done ? "done" : "";
    li.querySelector("input[type=checkbox]").checked = Boolean(todo.done);
    li.querySelector(".title").textContent = title;
    const file = li.querySelector(".file");
    file.hidden = !todo.file;
    file.textContent = todo.file?.name ?? "";
    file.title = todo.file ? `Download ${todo.file.name}` : "";
    li.querySelector(".attach span").textContent = todo.file ? "Replace" : "Attach";
    li.querySelector("input[type=file]").setAttribute("aria-label", `Attach a file to: ${title}`);
    li.querySelector(".remove").setAttribute("aria-label", `Delete: ${title}`);
    return li;
  });
  for (const li of [...list.children]) if (!wanted.includes(li)) li.remove();
  wanted.forEach((li, at) => {
    if (list.children[at] !== li) list.insertBefore(li, list.children[at] ?? null);
  });
  const open = all.filter((todo) => !todo.done).length;
  find("#count").textContent = all.length ? `${open} of ${all.length} open` : "";
  find("#empty").hidden = visible.length > 0;
}

attempt(enter);
