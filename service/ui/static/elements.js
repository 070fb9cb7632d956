// Elements of the page. Text is always text: nothing here, or anywhere in the page, reads markup out of a string.

/** An element with attributes (`onclick` and the like are listeners; false and null ones are left out) and children. */
export function el(name, attributes = {}, ...children) {
  const made =
    name === "svg" || name === "path"
      ? document.createElementNS("http://www.w3.org/2000/svg", name)
      : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** The element with this id; a page has every id that its script names. */
export function byId(id) {
  return document.getElementById(id);
}

/** Tell a screen reader something that the eye sees anyway; the same words twice are said twice. */
export function announce(text) {
  const region = byId("announced");
  region.textContent = region.textContent === text ? `${text}\u00a0` : text;
}

/** A heading, and what stands under it. */
export function part(title, { wide = false, level = "h3" } = {}, ...children) {
  return el("section", { class: wide ? "part wide" : "part" }, el(level, {}, title), ...children);
}

/**
 * A table that scrolls sideways where it must. Columns are titles; one that begins with # is of numbers. Rows: {cells,
 * chosen?}; a cell is text or an element, the first one the row's header.
 */
export function table(caption, columns, rows, { tall = false, unseen = false } = {}) {
  const numbers = columns.map((title) => title.startsWith("#") && "number");
  const head = columns.map((title, place) => el("th", { scope: "col", class: numbers[place] }, title.replace("#", "")));
  const body = rows.map(({ cells, chosen }) =>
    el(
      "tr",
      { class: chosen && "chosen" },
      cells.map((cell, place) =>
        place === 0 ? el("th", { scope: "row" }, cell) : el("td", { class: numbers[place] }, cell),
      ),
    ),
  );
  return el(
    "div",
    { class: tall ? "scroll tall" : "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el(
      "table",
      {},
      el("caption", { class: unseen && "unseen" }, caption),
      el("thead", {}, el("tr", {}, head)),
      el("tbody", {}, body),
    ),
  );
}

/** Number tiles: [label, value, note]. */
export function tiles(rows) {
  return el(
    "ul",
    { class: "tiles" },
    rows.map(([label, value, note]) =>
      el("li", {}, el("span", {}, label), el("strong", {}, value), el("span", { class: "note" }, note)),
    ),
  );
}

/** A word with a mark, so that its colour says nothing alone. */
export function badge(kind, word, mark) {
  return el("span", { class: `badge ${kind}` }, el("i", { "data-mark": mark, "aria-hidden": "true" }), word);
}
