// Which language, and every text in it. Knows dictionaries and nodes; knows no view.
import en from "./en.js";
import zh from "./zh.js";

const TEXTS = { en, zh };
const KEPT = "thinkgate.language";
const known = new WeakMap(); // node → { where: [key, vars] }
let language = "en";

function kept() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

/** The text of a key, `{name}` filled in; the key itself where it is unknown. */
export function text(key, vars = {}) {
  const found = TEXTS[language][key] ?? TEXTS.en[key] ?? key;
  return found.replace(/\{(\w+)\}/g, (_, name) => String(vars[name] ?? ""));
}

/** Is there a text of this key? */
export const has = (key) => key in TEXTS.en;

function apply(node, where, key, vars) {
  const words = text(key, vars);
  if (where === "text") node.textContent = words;
  else node.setAttribute(where, words);
}

/** Let a node's text, or an attribute, follow the language. */
export function translate(node, where, key, vars) {
  const all = known.get(node) ?? {};
  all[where] = [key, vars];
  known.set(node, all);
  if (node.dataset) node.dataset.said = "";
  else node.setAttribute("data-said", "");
  apply(node, where, key, vars);
}

/** Bring a tree up to the language: nodes that were made by hand in the page, and those of `translate`. */
export function translateTree(root) {
  for (const node of root.querySelectorAll("*")) {
    for (const { name, value } of [...node.attributes]) {
      if (name === "data-t") apply(node, "text", value);
      else if (name.startsWith("data-t-")) apply(node, name.slice(7), value);
    }
    const all = known.get(node);
    if (all) for (const [where, [key, vars]] of Object.entries(all)) apply(node, where, key, vars);
  }
}

/** Now: "en" or "zh". */
export const current = () => language;

/** The locale for numbers and times. */
export const locale = () => (language === "zh" ? "zh-CN" : "en-GB");

/** Use a language from now on, and in this browser later too. */
export function use(name, keep = true) {
  language = name in TEXTS ? name : "en";
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = text("title");
  if (keep) {
    try {
      localStorage.setItem(KEPT, language);
    } catch {
      // It holds for this page then.
    }
  }
  translateTree(document);
  document.dispatchEvent(new Event("languagechanged"));
}

/** The language to begin with: the one kept here, else the first of the browser's that there is. */
export function first() {
  const wanted = [kept(), ...(navigator.languages ?? [navigator.language])].filter(Boolean);
  return wanted.map((name) => name.slice(0, 2).toLowerCase()).find((name) => name in TEXTS) ?? "en";
}
