// Two lists of one user side by side, and between them where every item went.

import { el } from "./elements.js";
import { mask, targetOf } from "./words.js";

const GLIDE_MS = 260;
const still = matchMedia("(prefers-reduced-motion: reduce)");
let watching = null;

/**
 * Show `reference` and `list` in `place`, both as GET /audit/users/{user} gives them. Items that were there before
 * glide to their new rank, unless less motion is wanted.
 */
export function showLists(place, reference, list) {
  const before = tops(place);
  const left = new Set(list.left.map(({ item }) => item));
  const [title, note, secondTitle] = titlesOf(reference, list);
  const first = column(
    title,
    note,
    reference.items.map((item) =>
      row(item, left.has(item.item) ? "gone" : "", left.has(item.item) ? moved("gone", "left") : null),
    ),
  );
  const second = column(
    secondTitle,
    "and where each item was",
    list.items.map((item) => row(item, "", moveOf(item))),
  );
  const slopes = el("svg", { class: "slopes", "aria-hidden": "true" });
  const pair = el("div", { class: "pair" }, first, second, slopes);
  place.replaceChildren(pair, keyOfSlopes());
  const draw = () => drawSlopes(pair, slopes, list.items);
  watching?.disconnect();
  watching = new ResizeObserver(draw);
  watching.observe(pair);
  pair.addEventListener("pointerover", (event) => light(pair, event.target.closest("li")?.dataset.item));
  pair.addEventListener("pointerleave", () => light(pair, undefined));
  if (before.size && !still.matches) glide(second, before);
}

function titlesOf(reference, list) {
  if (list.balance && !reference.balance) {
    const towards = `Balanced: ${targetOf(list.balance.target)}, weight ${list.balance.weight.toFixed(2)}`;
    return [`Protected: ${mask(list.sensitive)}`, "not balanced", towards];
  }
  const least = reference.sensitive.length ? `Least protection: ${mask(reference.sensitive)}` : "Nothing protected";
  return [least, "as it is without your choice", `Protected: ${mask(list.sensitive)}`];
}

function column(title, note, rows) {
  return el(
    "section",
    {},
    el("h3", {}, title, el("small", {}, note)),
    rows.length
      ? el("ol", {}, rows)
      : el("p", { class: "waiting hint" }, "Nothing is left to recommend: every item is seen, hidden or withdrawn"),
  );
}

function row({ item, title, rank }, kind, move) {
  return el(
    "li",
    { "data-item": item, class: kind },
    el("span", { class: "rank" }, String(rank)),
    el("span", { class: "title", title: title ?? item }, title ?? item),
    move,
  );
}

/** What happened to an item, in a word and a mark. */
function moveOf({ rank, was }) {
  if (was === null || was === undefined) return moved("came", "new");
  if (was === rank) return moved("same", "=", "same place");
  return was > rank
    ? moved("up", `▲\u2009${was - rank}`, `up ${was - rank}`, `was ${was}`)
    : moved("down", `▼\u2009${rank - was}`, `down ${rank - was}`, `was ${was}`);
}

function moved(kind, shown, said = shown, note = "") {
  const mark =
    said === shown
      ? [el("b", {}, shown)]
      : [el("b", { "aria-hidden": "true" }, shown), el("span", { class: "unseen" }, `${said}${note && ","} `)];
  return el("span", { class: `move ${kind}` }, mark, note);
}

/** Lines from each item's old rank to its new one. */
function drawSlopes(pair, slopes, items) {
  const frame = pair.getBoundingClientRect();
  slopes.setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
  const [first, second] = [...pair.querySelectorAll("section")].map(
    (section) =>
      new Map([...section.querySelectorAll("li")].map((one) => [one.dataset.item, one.getBoundingClientRect()])),
  );
  slopes.replaceChildren(
    ...items
      .filter(({ item, was }) => was && first.has(item))
      .map(({ item, rank, was }) => {
        const [from, to] = [first.get(item), second.get(item)];
        const [x, y] = [from.right - frame.left + 6, from.top - frame.top + from.height / 2];
        const [end, height] = [to.left - frame.left - 2, to.top - frame.top + to.height / 2];
        const middle = (x + end) / 2;
        const kind = was > rank ? "up" : was < rank ? "down" : "same";
        return el("path", {
          class: kind,
          "data-item": item,
          d: `M${x} ${y}C${middle} ${y} ${middle} ${height} ${end} ${height}`,
        });
      }),
  );
}

function keyOfSlopes() {
  const line = (kind, word) =>
    el(
      "span",
      {},
      el("svg", { viewBox: "0 0 26 10", "aria-hidden": "true" }, el("path", { class: kind, d: "M0 5H26" })),
      word,
    );
  return el(
    "p",
    { class: "legend key-of-slopes" },
    line("up", "moved up"),
    line("down", "moved down"),
    line("same", "same place"),
  );
}

function light(pair, item) {
  for (const one of pair.querySelectorAll(".lit")) one.classList.remove("lit");
  if (item !== undefined)
    for (const one of pair.querySelectorAll(`[data-item="${CSS.escape(item)}"]`)) one.classList.add("lit");
}

function tops(place) {
  const rows = place.querySelectorAll(".pair section:nth-of-type(2) li");
  return new Map([...rows].map((one) => [one.dataset.item, one.offsetTop]));
}

function glide(section, before) {
  for (const one of section.querySelectorAll("li")) {
    const old = before.get(one.dataset.item);
    const from = old === undefined ? { opacity: 0 } : { transform: `translateY(${old - one.offsetTop}px)` };
    if (old !== one.offsetTop) one.animate([from, {}], { duration: GLIDE_MS, easing: "ease-out" });
  }
}
