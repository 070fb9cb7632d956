// Explore, as a story: who and what is chosen → the lists of all masks, asked for once → the two that are compared.

import { inWords, numbersOf, reasons, summary } from "./account.js";
import { ask } from "./api.js";
import { setUpBalance, showBalance } from "./balance.js";
import { byId, el } from "./elements.js";
import { keyNeeded, setUpKey } from "./key.js";
import { showLists } from "./lists.js";
import { showMasks } from "./masks.js";
import { KNOWN, LENGTHS, readPlace, writePlace } from "./place.js";
import { attempt, settle } from "./problems.js";
import { setUpSwitches, showSwitches } from "./switches.js";
import { setUpUsers, showUser, suggestSome } from "./users.js";
import { askForBalance, askForLists, keyOf } from "./views.js";
import { listed, mask, targetOf } from "./words.js";

let place = readPlace();
let schema = null; // GET /attributes
let view = null; // what is known of place.user at place.k
let turns = 0; // how often lists were wanted; only the last one counts
let plain = false; // whether lists come from GET /recommend, which needs no audit scope

async function begin() {
  schema = await attempt(byId("notice"), (signal) => ask("/attributes", { signal }), { more: keyNeeded });
  if (!schema) return;
  const known = schema.attributes.map(({ name }) => name);
  place.sensitive ??= schema.default.length ? schema.default : known.filter((name) => !always().has(name)).slice(0, 1);
  setUpSwitches(schema.attributes, choose);
  setUpBalance(schema.balance, balance);
  showBalance(place);
  showLengths();
  await another();
  if (place.unknown.length) byId("notice").append(notUnderstood(place.unknown));
}

/** Another user, another length, or another service: what was known is not any more. */
async function another() {
  view = null;
  showSwitches(place.sensitive, always());
  byId("welcome").hidden = place.user !== null;
  if (place.user === null) {
    welcome();
    return;
  }
  document.title = `${place.user} · Explore · Evenhand`;
  await show();
}

/** The lists of the chosen mask beside the least protected ones; asked for where they are not known yet. */
async function show() {
  showSwitches(place.sensitive, fixed());
  showBalance(place);
  if (place.user === null) return;
  const turn = (turns += 1);
  if (place.balance !== null) {
    await showBalanced(turn);
    return;
  }
  if (view?.lists.has(chosen())) settle(byId("notice"));
  else {
    byId("result").setAttribute("aria-busy", "true");
    if (!view) empty("Making the lists …");
    const found = await attempt(byId("notice"), (signal) => askForLists(place, view, schema, { plain, signal }), {
      more: moreWays,
    });
    if (turn !== turns) return; // something else was chosen meanwhile
    byId("result").setAttribute("aria-busy", "false");
    if (!found) {
      if (!view) empty("No lists to show.");
      return;
    }
    view = found;
    showSwitches(place.sensitive, fixed());
  }
  const list = view.lists.get(chosen());
  if (list) draw(view, list);
}

/** The list of the chosen mask without balance and with it; asked for every time. */
async function showBalanced(turn) {
  byId("result").setAttribute("aria-busy", "true");
  const found = await attempt(byId("notice"), (signal) => askForBalance(place, { plain, signal }), { more: moreWays });
  if (turn !== turns) return;
  byId("result").setAttribute("aria-busy", "false");
  if (found) draw(found, [...found.lists.values()][0]);
  else empty("No lists to show.");
}

function draw(view, list) {
  const { reference } = view;
  byId("result-title").textContent = `User ${view.user}: ${mask(list.sensitive)} protected`;
  byId("summary").textContent = summary(reference, list);
  let [numbers, lists, about] = byId("parts").children;
  if (!about)
    byId("parts").replaceChildren((numbers = el("div")), (lists = el("div")), (about = el("div", { class: "more" })));
  numbers.replaceChildren(numbersOf(reference, list));
  showLists(lists, reference, list);
  const model = `Model ${view.model.name} ${view.model.version}. ${view.note}`;
  about.replaceChildren(
    reasons(list),
    ...(isBalanced(view, list) ? [] : [inWords(view, list), everyMask(view, list)]),
    el("p", { class: "part wide hint" }, model),
  );
}

/** Whether the two lists differ in the balance, and not in the mask. */
function isBalanced({ reference }, list) {
  return Boolean(list.balance && !reference.balance);
}

function everyMask(view, list) {
  return showMasks(view, list, (names) => choose(names.filter((name) => !fixed().has(name))));
}

function balance({ balance: target, weight }) {
  place.balance = target;
  place.weight = weight;
  writePlace(place);
  show();
}

function choose(names) {
  place.sensitive = names;
  writePlace(place);
  show();
}

/** Nobody is chosen yet, or not any more. */
function welcome() {
  byId("result-title").textContent = "Whose lists?";
  byId("summary").textContent = "Type the id of a user, or take somebody.";
  byId("parts").replaceChildren();
  settle(byId("notice"));
  suggestSome(byId("some-users"));
}

/** No lists, for the time being or at all. */
function empty(text) {
  byId("result-title").textContent = `User ${place.user}`;
  byId("summary").textContent = text;
  byId("parts").replaceChildren();
}

/** Protected whatever is asked for: by the bundle, by the operator, and (once the lists are known) by the user. */
function fixed() {
  const own = view?.reference.applied.filter(({ source: why }) => why === "user") ?? [];
  return new Map([...always(), ...own.map(({ attribute }) => [attribute, "user"])]);
}

function always() {
  return new Map([
    ...schema.always_protected.map((name) => [name, "bundle"]),
    ...schema.required.map((name) => [name, "required"]),
  ]);
}

function chosen() {
  return keyOf([...new Set([...place.sensitive, ...fixed().keys()])]);
}

/** What else can be done about a refusal. */
function moreWays(problem) {
  keyNeeded(problem);
  if (!plain && (problem.members.scope === "audit" || problem.code === "no_audit_data")) {
    const agree = () => {
      plain = true;
      show();
    };
    const hint = "They are then answers of GET /recommend: the request log counts them as shown to the user.";
    return [
      el("button", { type: "button", onclick: agree }, "Show lists without it"),
      el("span", { class: "hint" }, hint),
    ];
  }
  if (problem.code === "balance_reveals")
    return problem.members.allowed.map((name) =>
      el("button", { type: "button", onclick: () => balance({ ...place, balance: name }) }, targetOf(name)),
    );
  const masks = problem.code === "unsupported_requirement" ? problem.members.supported_masks.masks : [];
  return masks.slice(0, 12).map((names) => el("button", { type: "button", onclick: () => choose(names) }, mask(names)));
}

function notUnderstood(names) {
  return el(
    "div",
    { class: "notice", role: "alert" },
    el("h3", {}, "Part of the address means nothing here"),
    el("p", {}, `${listed(names)}: this page knows ${listed(KNOWN)}. Nothing was protected because of it.`),
  );
}

function showLengths() {
  const lengths = [...new Set([...LENGTHS, place.k])].sort((one, other) => one - other);
  byId("k").replaceChildren(
    ...lengths.map((length) => el("option", { value: length, selected: length === place.k }, length)),
  );
}

byId("k").addEventListener("change", () => {
  place.k = Number(byId("k").value);
  writePlace(place);
  another();
});
setUpUsers((user) => {
  place.user = user;
  showUser(user);
  writePlace(place, { step: true });
  another();
});
addEventListener("popstate", () => {
  const { sensitive } = place;
  place = readPlace();
  place.sensitive ??= sensitive;
  showUser(place.user);
  showLengths();
  another();
});
setUpKey(() => {
  plain = false;
  begin();
});
showUser(place.user); // now, not after an answer: what is typed meanwhile stays
begin();
