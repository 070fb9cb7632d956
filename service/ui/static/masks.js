// What every mask does to the list of this user: how much of it stays.

import { bars } from "./charts.js";
import { el, part, table } from "./elements.js";
import { keyOf } from "./views.js";
import { capital, lines, mask, overlap } from "./words.js";

const DRAWN = 16;

/**
 * The overlap of each known mask with the least protected list, as a drawing and a table; `choose(names)` is told of
 * a pick.
 */
export function showMasks(view, chosen, choose) {
  const lists = [...view.lists.values()].filter((list) => keyOf(list.sensitive) !== keyOf(view.reference.sensitive));
  if (!lists.length)
    return part(
      "Every mask",
      { wide: true },
      el("p", { class: "hint" }, "There is one mask only: nothing to compare it with."),
    );
  const isChosen = (list) => keyOf(list.sensitive) === keyOf(chosen.sensitive);
  const drawn = lists.length > DRAWN ? lists.slice(0, DRAWN) : lists;
  const picture = bars(
    `Overlap with the least protected list for ${drawn.length} masks; the table beside it has the numbers.`,
    drawn.map((list) => lines(capital(mask(list.sensitive)))),
    [
      { name: "RBO", values: drawn.map((list) => list.overlap.rbo), colour: "strong" },
      { name: "Jaccard", values: drawn.map((list) => list.overlap.jaccard), colour: "weak" },
    ],
    { format: overlap, chosen: drawn.findIndex(isChosen), onpick: (place) => choose(drawn[place].sensitive) },
  );
  const rows = lists.map((list) => ({
    chosen: isChosen(list),
    cells: [
      el(
        "button",
        {
          type: "button",
          class: "pick",
          "aria-pressed": String(isChosen(list)),
          onclick: () => choose(list.sensitive),
        },
        capital(mask(list.sensitive)),
      ),
      `${list.items.filter(({ was }) => was).length} of ${view.reference.items.length}`,
      overlap(list.overlap.jaccard),
      overlap(list.overlap.rbo),
    ],
  }));
  const columns = ["Protected", "#Stay", "#Jaccard", "#RBO"];
  return part(
    "Every mask: how much of the list stays",
    { wide: true },
    el(
      "p",
      { class: "legend" },
      el("span", {}, el("i", { class: "bar-strong" }), "RBO"),
      el("span", {}, el("i", { class: "bar-weak" }), "Jaccard"),
      drawn.length < lists.length && `Drawn: the first ${DRAWN} of ${lists.length}`,
    ),
    el(
      "div",
      { class: "by-mask" },
      el("figure", {}, picture),
      table("Overlap with the least protected list", columns, rows, { tall: lists.length > 12, unseen: true }),
    ),
  );
}
