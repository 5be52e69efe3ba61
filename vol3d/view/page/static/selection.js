// The box that was clicked, and what is known of it.
import * as THREE from "three";
import { shown } from "./colours.js";
import { button, el, section } from "./dom.js";

export class Selection {
  // `changed()` is called when another box is chosen.
  constructor(stage, layers, origin, changed) {
    Object.assign(this, { stage, layers, origin, changed, chosen: null });
    this.body = el("div");
    const material = new THREE.MeshBasicMaterial({ transparent: true, opacity: 0.16, depthWrite: false, side: THREE.DoubleSide });
    this.glass = new THREE.Mesh(new THREE.BoxGeometry(1, 1, 1), material);
    stage.scene.add(this.glass);
    this.section = section("Box", this.body);
    this.section.id = "box";
    document.getElementById("sections").prepend(this.section);
    this.section.hidden = true;
    this.#listen(stage.pane);
  }

  #listen(pane) {
    let pressed = null;
    pane.addEventListener("pointerdown", (event) => { pressed = event.button === 0 ? [event.clientX, event.clientY] : null; });
    pane.addEventListener("pointerup", (event) => {
      if (pressed && Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]) < 4) this.#pick(this.stage.ray(event));
    });
    pane.addEventListener("dblclick", () => this.chosen && this.#approach());
  }

  // The smallest box under the pointer; once more, the next larger one.
  #pick({ origin, direction }) {
    const hits = this.layers.flatMap((layer) => layer.hits(origin, direction).map((index) => ({ layer, index })));
    hits.sort((a, b) => a.layer.volume(a.index) - b.layer.volume(b.index));
    const now = hits.findIndex((hit) => this.#isChosen(hit));
    this.choose(hits.length ? hits[(now + 1) % hits.length] : null);
  }

  #isChosen({ layer, index }) {
    return this.chosen?.layer === layer && this.chosen.index === index;
  }

  choose(chosen) {
    this.chosen = chosen;
    this.changed();
  }

  // The next of those that are shown.
  walk(step) {
    const all = this.layers.flatMap((layer) => [...layer.shown.keys()].filter((i) => layer.shown[i]).map((index) => ({ layer, index })));
    if (!all.length) return;
    const now = all.findIndex((one) => this.#isChosen(one));
    this.choose(all[now < 0 ? (step > 0 ? 0 : all.length - 1) : (now + step + all.length) % all.length]);
  }

  #approach() {
    const [x, y, z, l, w, h] = this.chosen.layer.layer.boxes[this.chosen.index], { camera, controls } = this.stage;
    const target = controls.target.clone().set(x, y, z), back = camera.position.clone().sub(controls.target).normalize();
    this.stage.fly(target, target.clone().addScaledVector(back, 3.2 * Math.hypot(l, w, h)));
  }

  // A box that was hidden by a filter is no longer chosen.
  refresh() {
    if (this.chosen && !this.chosen.layer.shown[this.chosen.index]) this.chosen = null;
    this.section.hidden = !this.chosen;
    this.glass.visible = Boolean(this.chosen);
    if (!this.chosen) return;
    const { layer: { layer }, index } = this.chosen, [x, y, z, l, w, h, yaw, vx, vy] = layer.boxes[index];
    this.glass.position.set(x, y, z);
    this.glass.scale.set(l, w, h);
    this.glass.rotation.z = yaw;
    this.glass.material.color.set(shown(this.chosen.layer.colours[index]));
    const metres = (...values) => values.map((value) => value.toFixed(2)).join("  ");
    const [ox, oy, oz] = this.origin;
    const rows = [["Class", layer.classes[index], "strong"], ["From", layer.name]];
    if (layer.scored) rows.push(["Score", layer.scores[index].toFixed(3)]);
    rows.push(["Centre", `${metres(x + ox, y + oy, z + oz)} m`], ["Size l w h", `${metres(l, w, h)} m`], ["Yaw", `${(yaw * 180 / Math.PI).toFixed(1)}°`]);
    if (vx !== undefined) rows.push(["Velocity", `${metres(vx, vy)} m/s`]);
    const details = rows.flatMap(([name, value, className = ""]) => [el("dt", {}, name), el("dd", { className }, value)]);
    const walk = el("div", { className: "walk" }, button("Previous", () => this.walk(-1)), button("Closer", () => this.#approach()), button("Next", () => this.walk(1)));
    const focused = [...this.body.querySelectorAll("button")].indexOf(document.activeElement);
    this.body.replaceChildren(el("dl", { className: "details" }, ...details), walk);
    if (focused >= 0) this.body.querySelectorAll("button")[focused].focus();
  }
}
