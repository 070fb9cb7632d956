// The dialog for the API key: kept for this tab, tried before it is used, forgotten at the press of a button.

import { Problem, ask, key } from "./api.js";
import { announce, byId } from "./elements.js";

/** Told on the document when there is another key, or none any more. */
export const KEY_CHANGED = "evenhand:key";

/** Make the dialog work; `onChange` runs whenever another key is used. */
export function setUpKey(onChange) {
  document.addEventListener(KEY_CHANGED, onChange);
  byId("key-open").addEventListener("click", openKeyDialog);
  byId("key-close").addEventListener("click", () => byId("key-dialog").close());
  byId("key-forget").addEventListener("click", forget);
  byId("key-form").addEventListener("submit", use);
  showButton();
}

/** Ask for a key. */
export function openKeyDialog() {
  byId("key-field").value = "";
  byId("key-forget").disabled = !key.get();
  say(key.get() ? "A key is in use in this tab." : "No key is in use.");
  byId("key-dialog").showModal();
}

/** Show the way to the dialog where the service has keys, or this tab has one. */
export function showButton(needed = false) {
  const button = byId("key-open");
  button.hidden = button.hidden && !needed && !key.get();
  button.textContent = key.get() ? "API key: set" : "API key";
}

/** For `attempt`: what a refusal for want of a key means for the button; adds nothing to what is shown. */
export function keyNeeded({ status }) {
  if (status === 401 || status === 403) showButton(true);
  return [];
}

async function use(event) {
  event.preventDefault();
  const secret = byId("key-field").value.trim();
  if (!/^[\x21-\x7e]+$/.test(secret)) {
    say(secret ? "A key has no spaces and no special letters in it." : "Type or paste the key.", true);
    return;
  }
  say("Trying it …");
  try {
    await ask("/attributes", { secret });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 401) {
      say("This key is not valid: unknown, revoked or expired.", true);
      return;
    }
    if (error.passes && error.status !== 429) {
      say(`It could not be tried: ${error.message}. Try again in a moment.`, true);
      return;
    } // 403 and 429: it is a key, whatever it may do
  }
  key.keep(secret);
  changed("The key is in use in this tab.");
}

function forget() {
  key.forget();
  changed("The key is forgotten.");
}

function changed(text) {
  byId("key-field").value = "";
  byId("key-dialog").close();
  showButton(true);
  announce(text);
  document.dispatchEvent(new Event(KEY_CHANGED));
}

function say(text, wrong = false) {
  byId("key-said").textContent = text;
  byId("key-said").classList.toggle("wrong", wrong);
}
