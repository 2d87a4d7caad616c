// Elements, made without markup: every text is a text node. Knows the DOM; knows nothing of the gateway.
import { translate, translateTree } from "./language.js";

const SVG = "http://www.w3.org/2000/svg";

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "t") translate(node, "text", value, props.vars);
    else if (name.startsWith("t-")) translate(node, name.slice(2), value, props.vars);
    else if (name === "vars") continue;
    else if (name === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An element. `t` is the key of its text, `t-NAME` of an attribute, `on` its listeners, `vars` what the texts name. */
export const el = (tag, props = {}, ...children) => fill(document.createElement(tag), props, children);

/** An element of SVG. */
export const svg = (tag, props = {}, ...children) => fill(document.createElementNS(SVG, tag), props, children);

/** A span whose text follows the language. */
export const say = (key, vars, props = {}) => el("span", { t: key, vars, ...props });

/** Replace what is inside. */
export function put(host, ...children) {
  host.replaceChildren(...children.flat().filter(Boolean));
}

/** Set a text only where it differs, so that a reader's selection survives. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export { translateTree };
