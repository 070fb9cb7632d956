// All lists of one user, by what they protect.

import { ask, withQuery } from "./api.js";

const RBO_P = 0.9;
const LOGGED =
  "These lists were made for this page: the request log keeps them, and does not count them as shown to the user.";
const SHOWN =
  "Without the scope audit: these lists count as shown to the user, and only those looked at are compared.";

/** A mask as a key, whatever the order of its names. */
export function keyOf(names) {
  return [...names].sort().join(",");
}

/**
 * What is known of a user, with the lists of the mask chosen in `place`: {user, model, reference, lists (key → list),
 * attributes, note}. `known` is what was there before, for the same user and length.
 */
export async function askForLists(place, known, schema, { plain, signal }) {
  if (plain) return plainLists(place, known, signal);
  const path = `/audit/users/${encodeURIComponent(place.user)}`;
  const sensitive = known ? place.sensitive.join(",") : null;
  const page = await ask(withQuery(path, { k: place.k, purpose: "ui", sensitive }), { signal });
  const found = joined(page, known);
  const wanted = keyOf([
    ...new Set([...place.sensitive, ...found.reference.applied.map(({ attribute }) => attribute)]),
  ]);
  return found.lists.has(wanted) || known ? found : askForLists(place, found, schema, { plain, signal });
}

/**
 * The list of the mask chosen in `place` without balance and with it, as a view like that of `askForLists`; its only
 * list is the balanced one.
 */
export async function askForBalance(place, { plain, signal }) {
  const { user, k, balance, weight } = place;
  const sensitive = place.sensitive.join(",");
  const balanced = { balance, balance_weight: weight };
  if (!plain) {
    const path = `/audit/users/${encodeURIComponent(user)}`;
    const page = await ask(withQuery(path, { k, purpose: "ui", sensitive, ...balanced }), { signal });
    const list = page.lists.at(-1);
    return {
      user,
      model: page.model,
      reference: page.lists[0],
      lists: new Map([[keyOf(list.sensitive), list]]),
      attributes: page.attributes,
      note: LOGGED,
    };
  }
  const answer = (more) => ask(withQuery("/recommend", { user, k, sensitive, ...more }), { signal });
  const [before, after] = await Promise.all([answer({ balance: "none" }), answer(balanced)]);
  const reference = compared(before, before);
  const list = compared(after, { items: reference.items });
  const lists = new Map([[keyOf(list.sensitive), list]]);
  return { user, model: after.model, reference, lists, attributes: [], note: SHOWN };
}

function joined(page, known) {
  const lists = new Map(known?.lists);
  for (const list of page.lists) lists.set(keyOf(list.applied.map(({ attribute }) => attribute)), list);
  const reference = known?.reference ?? lists.get(keyOf(page.reference)) ?? page.lists[0];
  const told = new Map([...(known?.attributes ?? []), ...page.attributes].map((one) => [one.attribute, one]));
  return { user: page.user, model: page.model, reference, lists, attributes: [...told.values()], note: LOGGED };
}

/** The same from two answers of GET /recommend, for keys without the audit scope. */
async function plainLists({ user, sensitive, k }, known, signal) {
  const answer = (names) => ask(withQuery("/recommend", { user, k, sensitive: names.join(",") }), { signal });
  const [least, page] = await Promise.all([known ? null : answer([]), answer(sensitive)]);
  const reference = known?.reference ?? compared(least, least);
  const list = compared(page, { items: reference.items });
  const lists = new Map([
    ...(known?.lists ?? [[keyOf(reference.sensitive), reference]]),
    [keyOf(list.sensitive), list],
  ]);
  return {
    user,
    model: page.model,
    reference,
    lists,
    attributes: [],
    note: SHOWN,
  };
}

function compared(page, reference) {
  const places = new Map(reference.items.map(({ item, rank }) => [item, rank]));
  const mine = new Set(page.items.map(({ item }) => item));
  const items = page.items.map((one) => ({ ...one, was: places.get(one.item) ?? null }));
  const left = reference.items.filter(({ item }) => !mine.has(item)).map((one) => ({ ...one, was: one.rank }));
  const both = items.length - items.filter(({ was }) => was === null).length;
  const either = items.length + left.length;
  const overlap = { jaccard: either ? both / either : 1, rbo: rankBiasedOverlap(reference.items, items) };
  return {
    sensitive: page.sensitive.applied.map(({ attribute }) => attribute),
    applied: page.sensitive.applied,
    balance: page.balance,
    items,
    left,
    overlap,
  };
}

/** RBO, extrapolated (Webber, Moffat and Zobel, TOIS 28(4), 2010, eq. 32 for lists of one length). */
function rankBiasedOverlap(first, second) {
  const depth = Math.min(first.length, second.length);
  const seen = new Set();
  let agreement = 0,
    both = 0,
    total = 0;
  for (let rank = 0; rank < depth; rank += 1) {
    for (const { item } of [first[rank], second[rank]])
      if (!seen.delete(item)) seen.add(item);
      else both += 1;
    agreement = both / (rank + 1);
    total += agreement * RBO_P ** (rank + 1);
  }
  return depth ? agreement * RBO_P ** depth + ((1 - RBO_P) / RBO_P) * total : 1;
}
