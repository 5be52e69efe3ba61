// The few kinds of elements that the panel is made of.
import { shown } from "./colours.js";

export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

export function section(title, ...children) {
  const made = el("section", {}, el("h2", {}, title), ...children);
  document.getElementById("sections").append(made);
  return made;
}

export function button(text, onclick, title = "") {
  return el("button", { type: "button", onclick, title }, text);
}

export function select(text, options, value, change) {
  const choices = options.map(([key, name]) => el("option", { value: key }, name));
  const choice = el("select", { onchange: () => change(choice.value) }, ...choices);
  choice.value = value;
  return el("label", { className: "row" }, el("span", {}, text), choice);
}

export function slider(text, { min, max, step, value, format = String, id = "" }, change) {
  const output = el("output", {}, format(value));
  const input = el("input", { type: "range", id, min, max, step, oninput: () => {
    output.textContent = format(input.valueAsNumber);
    change(input.valueAsNumber);
  } });
  input.value = value;
  return el("label", { className: "row" }, el("span", {}, text), input, output);
}

export function checkbox(text, { checked, colour = null, count = null }, change) {
  const input = el("input", { type: "checkbox", checked, onchange: () => change(input.checked) });
  const label = el("label", { className: "check" }, input, colour ? swatch(colour) : null, el("span", { className: "name" }, text));
  if (count !== null) label.append(el("span", { className: "count" }, String(count)));
  return label;
}

// Rows with check boxes, and two links that set all of them.
export function checklist(title, rows, change) {
  const boxes = rows.map(({ key, name, ...options }) => checkbox(name, options, (on) => change(key, on)));
  const all = (on) => () => boxes.forEach((box) => {
    const input = box.querySelector("input");
    if (input.checked !== on) input.click();
  });
  const links = el("span", {}, button("all", all(true)), button("none", all(false)));
  for (const link of links.children) link.className = "link";
  const made = section(title, el("div", { className: "list" }, ...boxes));
  made.prepend(el("div", { className: "heading" }, made.querySelector("h2"), links));
  return made;
}

// A style attribute would be refused by the page's policy; the colour of a shape is no style.
function swatch(colour) {
  return svg({ "aria-hidden": "true" }, painted("fill", colour, "rect", { width: "100%", height: "100%", rx: 3 }));
}

// A bar whose colours go from the first to the last.
export function gradient(colours) {
  const stops = colours.map((colour, i) => painted("stop-color", colour, "stop", { offset: i / (colours.length - 1) }));
  return svg({ "aria-hidden": "true" }, shape("linearGradient", { id: "ramp" }, ...stops), shape("rect", { width: "100%", height: "100%", rx: 3, fill: "url(#ramp)" }));
}

// A shape whose attribute is a colour of the scene; `repaint` gives it the one of another theme.
function painted(attribute, colour, tag, attributes) {
  return shape(tag, { ...attributes, [attribute]: shown(colour), "data-colour": colour, "data-painted": attribute });
}

export function repaint() {
  for (const made of document.querySelectorAll("[data-colour]")) made.setAttribute(made.dataset.painted, shown(made.dataset.colour));
}

const svg = (attributes, ...children) => shape("svg", attributes, ...children);

function shape(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}
