// Builds elements. Text is always set as text, so whatever a stranger put into a path cannot become markup.

export const byId = (id) => document.getElementById(id);

/** An element: `make("a", { href: "?id=1" }, "text", child)`. Properties of the element, or attributes with a hyphen. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

export function button(label, action) {
  const element = make("button", { type: "button" }, label);
  element.addEventListener("click", action);
  return element;
}

/** Changes the text only if it differs, so that a screen reader does not hear it again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Copies, and says so on the button. Browsers allow it on https and on this machine's own addresses only. */
export async function copy(text, from) {
  const label = from.textContent;
  try {
    await navigator.clipboard.writeText(text);
    from.textContent = "Copied";
  } catch {
    from.textContent = "Select it, and copy by hand";
  }
  setTimeout(() => (from.textContent = label), 2000);
}
