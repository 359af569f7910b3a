// Making and writing parts of the page. All text is text: nothing is ever read as HTML.

export const at = id => document.getElementById(id);

// write changes a text only if it differs: a screen reader repeats what is written.
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function make(tag, className, ...children) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...children);
  return e;
}

// icon is a sign of the sheet at the top of the page.
export function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('aria-hidden', 'true');
  svg.setAttribute('focusable', 'false');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

// fill makes a list anew, but only when what it says has changed: focus stays where it is.
export function fill(list, items, draw) {
  const key = JSON.stringify(items);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...items.map(draw));
}
