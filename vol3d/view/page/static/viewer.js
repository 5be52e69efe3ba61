// Loads the scene, builds its kind of view, and the parts of the panel that every view has.
import { CloudView } from "./cloud_view.js";
import { setTheme, theme } from "./colours.js";
import { VolumeView } from "./volume_view.js";
import { button, el, repaint, section } from "./dom.js";
import { frameSection, takeOver } from "./frames.js";
import { loadBuffers, loadDescription } from "./load.js";

const find = (id) => document.getElementById(id);
window.vol3d = { state: { ready: false } };  // for tests and for the curious

async function main() {
  setTheme("dark");  // until the scene says otherwise
  const description = await loadDescription();
  const kept = takeOver(description);
  setTheme(description.opening.background, description.on_light);
  document.title = `${description.title} · vol3d`;
  find("title").textContent = description.title;
  const View = description.volume ? VolumeView : CloudView;
  const buffers = await loadBuffers(View.buffers(description), (loaded, total) => {
    if (window.vol3d.state.error) return;  // one array failed while others still arrive
    find("progress").value = total ? loaded / total : 0;
    find("progress-text").textContent = `Loading ${(loaded / 1e6).toFixed(0)} of ${(total / 1e6).toFixed(0)} MB`;
  });
  find("progress-text").textContent = "Drawing …";
  const view = new View(description, buffers);
  commonSections(description, view, kept);
  find("loading").hidden = true;
  find("subtitle").textContent = view.subtitle;
  view.stage.draw();
  window.vol3d = { view, get state() { return { ready: true, frames: view.stage.frames, ...view.state }; } };
}

function commonSections(description, view, kept) {
  const shade = button("", () => {
    setTheme(theme() === "dark" ? "light" : "dark");
    name();
    repaint();
    view.recolour();
    view.stage.redraw();
  }, "Light or dark (l)");
  const name = () => { shade.textContent = theme() === "dark" ? "Light" : "Dark"; };
  name();
  const looks = [
    button("Reset", () => view.stage.look("home"), "The whole scene (r)"),
    button("Top", () => view.stage.look("top"), "From above (t)"),
    button("Front", () => view.stage.look("front"), "From the front (f)"),
  ];
  const picture = button("Picture", () => savePicture(view, description.title), "Save what is shown as a PNG (s)");
  const made = section("View", el("div", { className: "buttons" }, ...looks, picture, shade));
  find("sections").prepend(made);
  const steps = frameSection(description, view, kept);
  if (description.notes.length) section("Notes", ...description.notes.map((note) => el("p", { className: "note" }, note)));
  section("Mouse and keys", keys([
    ["drag", "turn"], ["right drag", "move"], ["wheel", "closer, farther"], ...view.keyHelp,
    ["r  t  f", "whole, top, front"], ["s", "save a picture"], ...(description.frames ? [[",  .", "previous, next cloud"]] : []),
  ]));
  const shortcuts = { r: looks[0], t: looks[1], f: looks[2], s: picture, l: shade, ...steps };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.("select")) return;
    if (shortcuts[event.key]) shortcuts[event.key].click();
    else view.key?.(event);
  });
}

function keys(rows) {
  return el("dl", { className: "keys" }, ...rows.flatMap(([key, what]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, what)]));
}

// Both canvases in one PNG.
function savePicture(view, title) {
  view.stage.draw();
  const source = view.stage.renderer.domElement, copy = el("canvas", { width: source.width, height: source.height });
  const context = copy.getContext("2d");
  context.drawImage(source, 0, 0);
  context.drawImage(find("overlay"), 0, 0, copy.width, copy.height);
  copy.toBlob((blob) => {
    const href = URL.createObjectURL(blob);
    el("a", { href, download: `${title.replace(/[^\w.-]+/g, "_")}.png` }).click();
    setTimeout(() => URL.revokeObjectURL(href), 10000);
  });
}

main().catch((error) => {
  console.error(error);
  window.vol3d = { state: { ready: false, error: error.message } };
  find("loading").classList.add("failed");
  find("progress-text").textContent = /webgl/i.test(error.message)
    ? "This browser has no WebGL 2, which the 3D view needs. `vol3d view --png` makes pictures without it."
    : error.message;
});
