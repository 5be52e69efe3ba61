// Clouds and boxes: what stands in the scene and the parts of the panel that change it.
import * as THREE from "three";
import { Boxes } from "./boxes.js";
import { shown } from "./colours.js";
import { checkbox, checklist, el, gradient, section, select, slider } from "./dom.js";
import { Ground, lengthName } from "./ground.js";
import { Overlay } from "./overlay.js";
import { Points } from "./points.js";
import { bounds } from "./bounds.js";
import { Selection } from "./selection.js";
import { Shading } from "./shading.js";
import { Stage } from "./stage.js";

const SOURCES = { attention: "attention", rgb: "own colours", class: "class", intensity: "intensity", height: "height", flat: "one colour" };
const number = new Intl.NumberFormat("en");

export class CloudView {
  static buffers({ clouds, boxes }) {
    return [...clouds.flatMap((cloud) => Object.values(cloud.buffers)), ...boxes.flatMap((layer) => [layer.lines, layer.ways])];
  }

  constructor(description, buffers) {
    const { clouds, boxes, ramps, class_colours: classColours, opening } = description;
    const { body, box, reach, floor } = bounds(clouds, boxes, buffers);
    const pane = el("div", { className: "pane space", tabIndex: 0 });
    pane.setAttribute("aria-label", "3D view: arrow keys move, plus and minus zoom");
    document.getElementById("panes").append(pane);
    this.stage = new Stage(document.getElementById("gl"), pane, body, reach, opening);
    this.points = new Points(clouds, ramps, buffers);
    this.points.reference.value = this.stage.distance;
    this.ground = new Ground(box, floor);
    this.boxes = boxes.map((layer) => new Boxes(layer, classColours, buffers, this.stage.resolution));
    this.shading = this.stage.first = new Shading(this.stage.renderer, this.points.group);
    this.stage.scene.add(this.ground.lines, ...this.boxes.map((layer) => layer.lines.group));
    const present = Object.keys(classColours).filter((name) => boxes.some((layer) => layer.classes.includes(name)));
    this.present = present;
    this.filter = { score: opening.score, classes: new Set(opening.classes ?? present), visible: boxes.map(() => true) };
    this.labelled = true;
    this.mostLabels = opening.labels;
    this.overlay = new Overlay(document.getElementById("overlay"), this.stage, {
      caption: `grid ${lengthName(this.ground.step)}`, labels: () => this.#labels(),
    });
    this.#pointSection(clouds, description, box);
    if (this.boxes.length) {
      this.#boxSection();
      this.#classSection(present, classColours);
      this.selection = new Selection(this.stage, this.boxes, description.origin, () => this.#update());
    }
    this.#update();
  }

  #pointSection(clouds, { ramps, sources, opening: { source } }, box) {
    if (!clouds.length) return;
    const chosen = source ?? sources[0], redraw = () => this.stage.redraw();
    const rows = [], legend = el("div", { className: "legend" });
    const colourBy = (key) => {
      this.source = key;
      this.points.colourBy(key);
      legend.replaceChildren(...rampLegend(key, ramps, clouds));
      redraw();
    };
    colourBy(chosen);
    rows.push(select("Colour", sources.map((key) => [key, SOURCES[key]]), chosen, colourBy), legend);
    this.points.size.value = startSize(this.points.shown);
    rows.push(slider("Size", { min: 0.5, max: 8, step: 0.1, value: this.points.size.value, id: "size" }, (value) => {
      this.points.size.value = value;
      redraw();
    }));
    const step = (box.max.z - box.min.z) / 200 || 1;
    const top = box.max.z + step;
    const height = (value) => (value >= top - step / 2 ? "off" : lengthNameSigned(value));
    rows.push(slider("Cut above", { min: box.min.z, max: top, step, value: top, format: height, id: "height" }, (value) => {
      this.points.ceiling.value = value >= top - step / 2 ? 1e30 : value;
      redraw();
    }));
    rows.push(checkbox("Shading by depth", { checked: true }, (on) => {
      this.shading.on = on;
      redraw();
    }));
    if (clouds.length > 1) {
      rows.push(...this.points.layers.map(({ cloud, points }) =>
        checkbox(cloud.name, { checked: true, colour: cloud.flat, count: number.format(cloud.shown) }, (on) => {
          points.visible = on;
          redraw();
        })));
    }
    section("Points", ...rows);
  }

  #boxSection() {
    const rows = this.boxes.map(({ layer, count }, i) =>
      checkbox(layer.name, { checked: true, colour: layer.own_colour, count }, (on) => {
        this.filter.visible[i] = on;
        this.#update();
      }));
    this.layerCounts = rows.map((row) => row.querySelector(".count"));
    if (this.boxes.some(({ layer }) => layer.scored)) {
      rows.push(slider("Score from", {
        min: 0, max: 1, step: 0.01, value: this.filter.score, id: "score", format: (value) => value.toFixed(2),
      }, (value) => {
        this.filter.score = value;
        this.#update();
      }));
    }
    if (this.boxes.some(({ layer }) => layer.own_colour)) {
      rows.push(select("Colour", [["layer", "by origin"], ["class", "by class"]], "layer", (what) => {
        this.boxes.forEach((layer) => layer.colourBy(what));
        this.stage.redraw();
      }));
    }
    rows.push(checkbox("Names", { checked: true }, (on) => {
      this.labelled = on;
      this.stage.redraw();
    }));
    section("Boxes", ...rows);
  }

  #classSection(present, colours) {
    const rows = present.map((name) => ({
      key: name, name, checked: this.filter.classes.has(name), colour: colours[name],
      count: this.boxes.reduce((sum, { layer }) => sum + layer.classes.filter((other) => other === name).length, 0),
    }));
    checklist("Classes", rows, (name, on) => {
      this.filter.classes[on ? "add" : "delete"](name);
      this.#update();
    }).id = "classes";
  }

  #update() {
    const chosen = this.selection?.chosen;
    this.boxes.forEach((layer, i) => {
      const selected = chosen?.layer === layer ? chosen.index : -1;
      layer.filter({ ...this.filter, visible: this.filter.visible[i], selected });
      this.layerCounts[i].textContent = layer.countShown === layer.count ? layer.count : `${layer.countShown} of ${layer.count}`;
    });
    this.selection?.refresh();
    this.stage.redraw();
  }

  #labels() {
    const chosen = this.selection?.chosen, labels = [];
    for (const layer of this.boxes) {
      const selected = chosen?.layer === layer ? chosen.index : -1;
      for (const i of new Set([...(this.labelled ? layer.foremost(this.mostLabels) : []), ...(layer.shown[selected] ? [selected] : [])])) {
        const [x, y, z, , , h] = layer.layer.boxes[i], weight = i === selected ? Infinity : layer.layer.label_weights[i];
        labels.push({ text: layer.label(i), colour: shown(layer.colours[i]), at: [x, y, z + h / 2], weight });
      }
    }
    return labels;
  }

  recolour() {
    for (const one of [this.points, this.ground, ...this.boxes]) one.recolour();
    this.selection?.refresh();
  }

  key(event) {
    if (event.key === "n" || event.key === "p") this.selection?.walk(event.key === "n" ? 1 : -1);
    if (event.key === "Escape") this.selection?.choose(null);
    if (event.key === "+" || event.key === "-") {
      const { controls, camera } = this.stage, factor = event.key === "+" ? 0.8 : 1.25;
      this.stage.fly(controls.target.clone(), controls.target.clone().lerp(camera.position, factor));
    }
  }

  get keyHelp() {
    return this.boxes.length ? [["click", "details of a box"], ["n  p", "next, previous box"]] : [];
  }

  get subtitle() {
    const parts = [];
    if (this.points.layers.length) parts.push(`${number.format(this.points.shown)} points`);
    if (this.boxes.length) parts.push(`${number.format(this.boxes.reduce((sum, layer) => sum + layer.count, 0))} boxes`);
    return parts.join(", ");
  }

  // What the next cloud of a recording is shown with.
  get choices() {
    const hidden = this.present.filter((name) => !this.filter.classes.has(name));
    return { score: this.filter.score, source: this.source, hidden };
  }

  get state() {
    return {
      points: this.points.shown, labels: this.overlay.written, score: this.filter.score, classes: [...this.filter.classes],
      boxes: this.boxes.map(({ layer, count, countShown }) => ({ name: layer.name, count, shown: countShown })),
      selected: this.selection?.chosen ? this.selection.chosen.layer.label(this.selection.chosen.index) : null,
    };
  }
}

// From which value to which the colours of a source go.
function rampLegend(source, ramps, clouds) {
  if (source === "attention") {
    const [low, high] = clouds.find(({ attention_range: range }) => range).attention_range;
    return [el("span", {}, `${low.toPrecision(2)} %`), gradient(ramps[source]), el("span", {}, `${high.toPrecision(2)} %`)];
  }
  if (source !== "height" && source !== "intensity") return [];
  const low = Math.min(...clouds.map(({ height_range: [value] }) => value)), high = Math.max(...clouds.map(({ height_range: [, value] }) => value));
  const ends = source === "height" ? [low, high].map(lengthNameSigned) : ["weak", "strong"];
  return [el("span", {}, ends[0]), gradient(ramps[source]), el("span", {}, ends[1])];
}

// Fewer points are drawn larger.
function startSize(count) {
  return Math.min(4.5, Math.max(1.4, Math.round(10 * Math.sqrt(700000 / Math.max(count, 1))) / 10));
}

function lengthNameSigned(metres) {
  return `${metres.toFixed(Math.abs(metres) < 10 ? 2 : 1)} m`;
}
