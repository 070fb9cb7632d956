// Choosing a user: a text field with suggestions (ARIA combobox with a listbox), and somebody at random.

import { Problem, ask, withQuery } from "./api.js";
import { byId, el } from "./elements.js";
import { count } from "./words.js";

const WAIT_MS = 120;
const SHOWN = 8;
const DRAWN_FROM = 1000;
let taking = null; // what is done with a choice
let asking = null; // ends the search for suggestions that runs
let due = 0;

/** Make the field work; `choose(user)` is told. */
export function setUpUsers(choose) {
  const field = byId("user");
  const take = (user) => {
    field.value = user;
    close();
    if (user) choose(user);
  };
  taking = take;
  field.addEventListener("input", () => suggestSoon());
  field.addEventListener("keydown", (event) => onKey(event, take));
  field.addEventListener("blur", () => setTimeout(close, 150)); // after a click into the list
  byId("users").addEventListener("mousedown", (event) => event.preventDefault());
  byId("users").addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) take(option.textContent);
  });
  byId("choice").addEventListener("submit", (event) => {
    event.preventDefault();
    const user = field.value.trim();
    field.setAttribute("aria-invalid", String(!user));
    say(user ? "" : "Type the id of a user.");
    take(user);
  });
  for (const id of ["somebody", "anybody"]) byId(id).addEventListener("click", () => somebodyElse(take));
}

/** A few users to begin with, in `place`; none where this key may not list them. */
export async function suggestSome(place) {
  try {
    const { users } = await ask(withQuery("/audit/users", { limit: 5 }));
    place.replaceChildren(...users.map((user) => el("button", { type: "button", onclick: () => taking(user) }, user)));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
  }
}

/** Show who is chosen. */
export function showUser(user) {
  byId("user").value = user ?? "";
  byId("somebody").textContent = user === null ? "Somebody" : "Somebody else";
}

async function somebodyElse(take) {
  say("");
  try {
    const { users } = await ask(withQuery("/audit/users", { limit: DRAWN_FROM }));
    const others = users.filter((user) => user !== byId("user").value);
    if (others.length) take(others[Math.floor(Math.random() * others.length)]);
    else say(users.length ? "There is nobody else." : "This bundle has no users.");
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    say(
      error.status === 403
        ? "Your key may not list users (scope audit): type an id."
        : `That did not work: ${error.message}.`,
    );
  }
}

function suggestSoon() {
  clearTimeout(due);
  due = setTimeout(suggest, WAIT_MS);
}

async function suggest() {
  asking?.abort();
  asking = new AbortController();
  const prefix = byId("user").value.trim();
  try {
    const { users, total } = await ask(withQuery("/audit/users", { prefix, limit: SHOWN }), { signal: asking.signal });
    if (document.activeElement === byId("user")) open(users, total);
  } catch (error) {
    if (error instanceof Problem)
      close(); // a convenience: the field works without it
    else if (error.name !== "AbortError") throw error;
  }
}

function open(users, total) {
  const options = users.map((user, place) =>
    el("li", { role: "option", id: `users-${place}`, "aria-selected": "false" }, user),
  );
  byId("users").replaceChildren(...options);
  const more = total > users.length ? `${count(users.length)} of ${count(total)}` : `${count(total)} in all`;
  byId("users-total").textContent = total ? more : "No user begins like this.";
  byId("users-menu").hidden = false;
  byId("user").setAttribute("aria-expanded", "true");
  byId("user").removeAttribute("aria-activedescendant");
}

function close() {
  clearTimeout(due);
  asking?.abort();
  byId("users-menu").hidden = true;
  byId("user").setAttribute("aria-expanded", "false");
  byId("user").removeAttribute("aria-activedescendant");
}

function onKey(event, take) {
  const options = [...byId("users").children];
  const isOpen = !byId("users-menu").hidden;
  const place = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
  if (event.key === "Escape" && isOpen) {
    event.preventDefault();
    close();
  } else if (event.key === "Enter" && isOpen && place >= 0) {
    event.preventDefault();
    take(options[place].textContent);
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (!isOpen) suggest();
    else if (options.length)
      mark(options, (place + (event.key === "ArrowDown" ? 1 : place < 0 ? 0 : -1) + options.length) % options.length);
  }
}

function mark(options, place) {
  options.forEach((option, other) => option.setAttribute("aria-selected", String(other === place)));
  options[place].scrollIntoView({ block: "nearest" });
  byId("user").setAttribute("aria-activedescendant", options[place].id);
}

function say(text) {
  byId("somebody-said").textContent = text;
}
