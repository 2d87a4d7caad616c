// The page put together: key, language, theme, views. Knows the parts; asks the gateway nothing itself.
import { hasKey, keepKey, onKeyWanted, tryKey } from "./api.js";
import { decisions } from "./decisions.js";
import { put, say, setText } from "./dom.js";
import * as language from "./language.js";
import { overview } from "./overview.js";
import { playground } from "./playground.js";

const VIEWS = { overview, playground, decisions };
const THEMES = ["system", "light", "dark"];
const byId = (id) => document.getElementById(id);
const built = new Set();

function show() {
  const wanted = location.hash.slice(1);
  const name = wanted in VIEWS ? wanted : "overview";
  for (const other of Object.keys(VIEWS)) byId(other).hidden = other !== name;
  for (const link of byId("tabs").children) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!built.has(name)) {
    built.add(name);
    VIEWS[name](byId(name));
  }
  document.dispatchEvent(new Event("viewchanged"));
}

// ---------------------------------------------------------------- theme and language

function theme() {
  return document.documentElement.dataset.theme ?? "system";
}

function useTheme(name) {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  try {
    if (name === "system") localStorage.removeItem("thinkgate.theme");
    else localStorage.setItem("thinkgate.theme", name);
  } catch {
    // It holds for this page then.
  }
  put(byId("theme-name"), say(`theme.${name}`));
}

// ---------------------------------------------------------------- key

/** Ask a person for a key until one is good. `refused` is what the gateway said of the last one. */
function askForKey(refused) {
  const dialog = byId("key-dialog");
  const form = byId("key-form");
  const input = byId("key-input");
  const error = byId("key-error");
  input.value = "";
  keepKey("");
  byId("key").hidden = true;
  if (refused) put(error, say("key.wrong"));
  else put(error);
  dialog.showModal();
  input.focus();
  return new Promise((resolve) => {
    form.onsubmit = async (event) => {
      event.preventDefault();
      const value = input.value.trim();
      if (!value) return;
      put(error, say("key.trying"));
      try {
        await tryKey(value);
      } catch (failure) {
        put(error, say(failure.status === 401 ? "key.wrong" : "key.failed"), failure.status === 401 ? "" : ` ${failure.message}`);
        input.select();
        return;
      }
      keepKey(value);
      input.value = "";
      put(error);
      dialog.close();
      byId("key").hidden = false;
      resolve();
    };
  });
}

// ---------------------------------------------------------------- trouble

let calm = 0;
document.addEventListener("trouble", ({ detail }) => {
  const banner = byId("banner");
  banner.hidden = false;
  put(banner, say(detail.status === 0 ? "trouble.lost" : "trouble.refused"), " ", detail.status === 0 ? "" : String(detail.message ?? ""));
  clearTimeout(calm);
  calm = setTimeout(() => (banner.hidden = true), 6000);
});

language.use(language.first(), false);
byId("language").addEventListener("click", () => language.use(language.current() === "en" ? "zh" : "en"));
document.addEventListener("languagechanged", nameLanguage);
function nameLanguage() {
  const other = language.current() === "en" ? ["中文", "zh"] : ["English", "en"];
  setText(byId("language"), other[0]);
  byId("language").lang = other[1];
}
nameLanguage();
useTheme(theme());
byId("theme").addEventListener("click", () => useTheme(THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]));
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
byId("key").hidden = !hasKey();
byId("key").addEventListener("click", () => {
  keepKey("");
  location.reload();
});
// While the dialog is open nothing can be shown, so Escape must not close it.
byId("key-dialog").addEventListener("cancel", (event) => event.preventDefault());
onKeyWanted(askForKey);
window.addEventListener("hashchange", show);
show();
