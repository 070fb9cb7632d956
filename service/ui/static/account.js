// What is said of two lists: numbers, a sentence, who asked for the protection, and what each attribute changes.

import { divergenceOf } from "./balance.js";
import { el, part, table, tiles } from "./elements.js";
import { keyOf } from "./views.js";
import { listed, overlap, plural, source } from "./words.js";

const NAMES = 60; // letters of names under a number

/** How alike they are, as tiles. */
export function numbersOf(reference, list) {
  const came = list.items.length - staying(list);
  const names = listed(list.applied.map(({ attribute }) => attribute));
  return tiles([
    [
      "Items that stay",
      `${staying(list)} of ${reference.items.length}`,
      came ? `${came} came in their place` : "none came",
    ],
    ["Jaccard", overlap(list.overlap.jaccard), "items in both lists, of all in either"],
    ["RBO", overlap(list.overlap.rbo), "agreement by rank, the top first"],
    list.balance && ["Divergence", ...divergenceOf(list.balance)],
    [
      "Attributes protected",
      String(list.applied.length),
      names.length > NAMES ? `${names.slice(0, NAMES)}…` : names || "none",
    ],
  ].filter(Boolean));
}

/** What the protection changes, in a sentence. */
export function summary(reference, list) {
  const stay = staying(list);
  if (!list.items.length) return "Nothing is left to recommend to this user.";
  if (keyOf(list.sensitive) === keyOf(reference.sensitive) && !balanced(reference, list))
    return "This is the least that is protected here: both lists are the same. Switch an attribute on to see what changes.";
  if (!stay) return "Not one item stays.";
  const moved = list.items.filter(({ rank, was }) => was && was !== rank).length;
  const came = list.items.length - stay;
  if (!moved && !came) return "Nothing moved: the list is the same.";
  return `${plural(came, "item")} came in, ${plural(list.left.length, "item")} left, ${moved} of the ${stay} that stay moved.`;
}

/** Who asked for what is protected. */
export function reasons(list) {
  const rows = list.applied.map(({ attribute, source: why }) => ({ cells: [attribute, source(why)] }));
  const caption = "Protected attributes and who asked for them";
  const none = el("p", { class: "hint" }, "Nothing is protected in this list.");
  return part(
    "Who asked for it",
    {},
    rows.length ? table(caption, ["Protected", "Because it is"], rows, { unseen: true }) : none,
  );
}

/** The service's own sentences on this list and its attributes. */
export function inWords(view, list) {
  const applied = new Set(list.applied.map(({ attribute }) => attribute));
  const told = view.attributes.filter(({ attribute }) => applied.has(attribute) || !applied.size);
  const sentences = [...new Set([list.sentence, ...told.map(({ sentence }) => sentence)])].filter(Boolean);
  const none = el("p", { class: "hint" }, "Sentences come with the scope audit.");
  return part(
    "In words",
    {},
    sentences.length
      ? el(
          "ul",
          { class: "words" },
          sentences.map((one) => el("li", {}, one)),
        )
      : none,
  );
}

/** Whether what differs is the balance. */
const balanced = (reference, list) => Boolean(list.balance && !reference.balance);

function staying(list) {
  return list.items.filter(({ was }) => was).length;
}
