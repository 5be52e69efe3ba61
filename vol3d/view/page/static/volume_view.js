// A volume: three planes, each also in a pane of its own, its masks over them, and the organs' surfaces in 3D.
import * as THREE from "three";
import { button, checkbox, checklist, el, section, slider } from "./dom.js";
import { Overlay } from "./overlay.js";
import { PLANES, PlanePane } from "./planes.js";
import { Slices } from "./slices.js";
import { Stage } from "./stage.js";
import { Surfaces } from "./surfaces.js";

const STEPS = 400;

export class VolumeView {
  static buffers({ volume }) {
    return [volume.voxels, ...volume.masks.map((mask) => mask.labels)];
  }

  constructor({ volume, opening }, buffers) {
    this.volume = volume;
    this.slices = new Slices(volume, buffers, [0, 1, 2].map((axis) => PLANES.find((plane) => plane.axis === axis).colour));
    const events = { moved: (axis, index) => this.move(axis, index), windowed: (dx, dy) => this.#drag(dx, dy) };
    this.panes = PLANES.map((plane) => new PlanePane(plane, this.slices, events));
    const space = this.#layout(), corners = this.#corners();
    this.stage = new Stage(document.getElementById("gl"), space, corners, new THREE.Box3().setFromPoints(corners), opening);
    this.stage.planes = this.panes;
    this.surfaces = new Surfaces(() => this.stage.redraw());
    this.stage.scene.add(this.slices.group, this.surfaces.group);
    this.overlay = new Overlay(document.getElementById("overlay"), this.stage, { letters: ["R", "A", "S"] });
    this.overlay.extras.push((context) => this.panes.forEach((pane) => {
      const at = this.stage.place(pane.pane);
      if (at) pane.draw(context, at);
    }));
    this.#hereSection();
    this.#windowSection();
    this.painters = [];  // one for each mask
    this.organs = volume.masks.map((mask) => mask.organs.map(({ name }) => !opening.classes || opening.classes.includes(name)));
    volume.masks.forEach((mask, number) => this.#maskSection(mask, number));
    if (volume.masks.length) this.#maskLookSection();
    this.index = this.#start();
    this.index.forEach((index, axis) => this.move(axis, index));
  }

  #layout() {
    const holder = document.getElementById("panes"), space = el("div", { className: "pane space", tabIndex: 0 });
    space.setAttribute("aria-label", "3D view: arrow keys move");
    holder.className = "four";
    for (const pane of [...this.panes.map((one) => one.pane), space]) {
      const enlarge = button("⤢", () => {
        const large = pane.classList.toggle("large");
        holder.toggleAttribute("data-large", large);
      }, "Enlarge or shrink");
      enlarge.className = "enlarge";
      enlarge.addEventListener("pointerdown", (event) => event.stopPropagation());
      pane.append(enlarge);
      holder.append(pane);
    }
    return space;
  }

  #corners() {
    return [0, 1, 2, 3, 4, 5, 6, 7].map((corner) => {
      const voxel = this.volume.shape.map((n, axis) => (corner >> axis & 1 ? n - 0.5 : -0.5));
      return new THREE.Vector3(...voxel).applyMatrix4(this.slices.affine);
    });
  }

  // The planes that halve the first mask that is not empty, else the volume.
  #start() {
    const { shape, masks } = this.slices, [, J, K] = shape;
    for (const { labels } of masks) {
      const counts = shape.map((n) => new Float64Array(n));
      let total = 0;
      for (let at = 0; at < labels.length; at++) {
        if (!labels[at]) continue;
        total += 1;
        counts[0][Math.floor(at / (J * K))] += 1;
        counts[1][Math.floor(at / K) % J] += 1;
        counts[2][at % K] += 1;
      }
      if (total) {
        return counts.map((count) => {
          let sum = 0;
          return count.findIndex((n) => (sum += n) >= total / 2);
        });
      }
    }
    return shape.map((n) => Math.floor(n / 2));
  }

  move(axis, index) {
    this.slices.index[axis].value = Math.min(Math.max(index, 0), this.volume.shape[axis] - 1);
    this.panes.forEach((pane) => pane.update());
    this.#tellHere();
    this.stage.redraw();
  }

  #hereSection() {
    this.here = el("dl", { className: "details" });
    section("At the crossing", this.here);
  }

  #tellHere() {
    const voxel = this.slices.index.map(({ value }) => value), [low, high] = this.volume.range;
    const place = new THREE.Vector3(...voxel).applyMatrix4(this.slices.affine).toArray();
    const value = (low + high) / 2 + this.slices.value(voxel) * (high - low) / 2;
    const rows = [["Value", tidy(value, high - low)], ["Voxel", voxel.join("  ")], ["R A S", `${place.map((mm) => mm.toFixed(1)).join("  ")} mm`]];
    this.volume.masks.forEach((mask, number) => {
      rows.push([mask.name, mask.organs[this.slices.label(number, voxel) - 1]?.name ?? "–"]);
    });
    this.here.replaceChildren(...rows.flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]));
  }

  #windowSection() {
    const [low, high] = this.volume.range, span = high - low, format = (value) => tidy(value, span);
    const start = () => ({ centre: (this.volume.window[0] + this.volume.window[1]) / 2, width: this.volume.window[1] - this.volume.window[0] });
    const make = () => [
      slider("Level", { min: low, max: high, step: span / STEPS || 1, value: this.level.centre, format, id: "level" }, (centre) => this.#setWindow({ centre })),
      slider("Window", { min: span / STEPS, max: Math.max(span, this.level.width), step: span / STEPS || 1, value: this.level.width, format, id: "width" }, (width) => this.#setWindow({ width })),
    ];
    this.level = start();
    this.windowRows = el("div", {}, ...make());
    this.refreshWindow = () => this.windowRows.replaceChildren(...make());
    const reset = button("Reset", () => {
      this.#setWindow(start());
      this.refreshWindow();
    });
    reset.className = "link";
    const made = section("Grey levels", this.windowRows,
      checkbox("Smooth voxels", { checked: true }, (on) => {
        this.slices.smooth(on);
        this.stage.redraw();
      }),
      checkbox("Planes in 3D", { checked: true }, (on) => {
        this.slices.inSpace(on);
        this.stage.redraw();
      }));
    made.prepend(el("div", { className: "heading" }, made.querySelector("h2"), reset));
    this.#setWindow({});
  }

  // Black and white as the texture has them, from -1 to 1.
  #setWindow(change) {
    Object.assign(this.level, change);
    const [low, high] = this.volume.range, middle = (low + high) / 2, half = (high - low) / 2;
    const { centre, width } = this.level;
    this.slices.window.value.set((centre - width / 2 - middle) / half, (centre + width / 2 - middle) / half);
    this.stage.redraw();
  }

  // A drag with the right button: to the right wider, up brighter.
  #drag(dx, dy) {
    const [low, high] = this.volume.range, step = this.level.width / 200;
    this.#setWindow({ width: Math.max(this.level.width + dx * step, (high - low) / STEPS), centre: this.level.centre + dy * step });
    this.refreshWindow();
  }

  #maskSection(mask, number) {
    const colour = () => {
      this.slices.colour(number, mask.organs.map((organ, i) => (this.organs[number][i] ? organ.colour : null)));
      mask.organs.forEach((organ, i) => this.surfaces.show(organ, this.solid[number] && this.organs[number][i]));
      this.stage.redraw();
    };
    this.solid ??= this.volume.masks.map((_, i) => i === 0);
    const rows = mask.organs.map((organ, i) => ({
      key: i, name: organ.name, checked: this.organs[number][i], colour: organ.colour, count: millilitres(organ.volume_ml),
    }));
    const made = checklist(mask.name, rows, (i, on) => {
      this.organs[number][i] = on;
      colour();
    });
    made.classList.add("mask");
    made.append(
      checkbox("In the planes", { checked: true }, (on) => {
        this.slices.show(number, on);
        this.stage.redraw();
      }),
      checkbox("As surfaces", { checked: this.solid[number] }, (on) => {
        this.solid[number] = on;
        colour();
      }));
    this.painters.push(colour);
    colour();
  }

  #maskLookSection() {
    const percent = (value) => `${Math.round(100 * value)} %`;
    section("Opacity",
      slider("Planes", { min: 0, max: 1, step: 0.05, value: this.slices.opacity, format: percent, id: "opacity" }, (value) => {
        this.slices.fill(value);
        this.stage.redraw();
      }),
      slider("Surfaces", { min: 0.1, max: 1, step: 0.05, value: 1, format: percent, id: "surface" }, (value) => {
        this.surfaces.setOpacity(value);
        this.stage.redraw();
      }));
  }

  recolour() {
    this.surfaces.recolour();
    for (const paint of this.painters) paint();
  }

  get keyHelp() {
    return [["click a plane", "move the crossing"], ["wheel on it", "next slice"], ["right drag on it", "grey levels"]];
  }

  get subtitle() {
    const spacing = [0, 1, 2].map((axis) => new THREE.Vector3().setFromMatrixColumn(this.slices.affine, axis).length());
    return `${this.volume.shape.join(" × ")} voxels of ${spacing.map((mm) => +mm.toFixed(2)).join(" × ")} mm`;
  }

  get state() {
    return {
      shape: this.volume.shape, index: this.slices.index.map(({ value }) => value), window: this.level,
      organs: this.organs, triangles: this.surfaces.triangles, surfaces: this.surfaces.loaded ?? 0, here: this.here.innerText,
    };
  }
}

function tidy(value, span) {
  return value.toFixed(span > 50 ? 0 : span > 5 ? 1 : 3);
}

function millilitres(value) {
  return `${value >= 100 ? value.toFixed(0) : value.toPrecision(3)} ml`;
}
