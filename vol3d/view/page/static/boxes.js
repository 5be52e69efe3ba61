// Boxes of one layer: their lines, which of them are shown, and which of them a ray meets.
import { rgb } from "./colours.js";
import { Lines } from "./lines.js";

export class Boxes {
  constructor(layer, classColours, buffers, resolution) {
    this.layer = layer;
    this.classColours = classColours;
    this.count = layer.boxes.length;
    this.shown = new Uint8Array(this.count).fill(1);
    const edges = new Float32Array(buffers.get(layer.lines));
    const ways = new Float32Array(buffers.get(layer.ways));
    const ends = new Float32Array(edges.length + ways.length);
    ends.set(edges);
    ends.set(ways, edges.length);
    this.owner = [];
    for (let i = 0; i < this.count * layer.lines_per_box; i++) this.owner.push(Math.floor(i / layer.lines_per_box));
    this.owner.push(...layer.moving);
    this.lines = new Lines(ends, new Uint8Array(3 * this.owner.length), resolution);
    this.colours = layer.colours;
    this.colourBy(layer.own_colour ? "layer" : "class");
  }

  colourBy(what) {
    this.by = what;
    const byClass = what === "class" || !this.layer.own_colour;
    this.colours = this.layer.classes.map((name) => (byClass ? this.classColours[name] : this.layer.own_colour));
    this.owner.forEach((box, i) => this.lines.colours.array.set(rgb(this.colours[box]).map((v) => Math.round(255 * v)), 3 * i));
    this.lines.colours.needsUpdate = true;
  }

  recolour() {
    this.colourBy(this.by);
  }

  // Shows the boxes that pass, the selected one with wider lines.
  filter({ visible, score, classes, selected }) {
    for (let i = 0; i < this.count; i++) {
      const sure = !this.layer.scored || this.layer.scores[i] >= score;
      this.shown[i] = visible && sure && classes.has(this.layer.classes[i]) ? 1 : 0;
    }
    this.owner.forEach((box, i) => { this.lines.weights.array[i] = this.shown[box] * (box === selected ? 2 : 1); });
    this.lines.weights.needsUpdate = true;
  }

  get countShown() {
    return this.shown.reduce((sum, value) => sum + value, 0);
  }

  // Indices of those boxes that are shown whose labels matter most, as in the picture.
  foremost(most) {
    const weights = this.layer.label_weights;
    return [...weights.keys()].filter((i) => this.shown[i]).sort((a, b) => weights[b] - weights[a]).slice(0, most);
  }

  label(i) {
    return this.layer.scored ? `${this.layer.classes[i]} ${this.layer.scores[i].toFixed(2)}` : this.layer.classes[i];
  }

  // Indices of the shown boxes that a ray (origin and direction as arrays) meets.
  hits(origin, direction) {
    return [...this.layer.boxes.keys()].filter((i) => this.shown[i] && meets(this.layer.boxes[i], origin, direction));
  }

  volume(i) {
    const [, , , l, w, h] = this.layer.boxes[i];
    return l * w * h;
  }
}

function meets([x, y, z, l, w, h, yaw], origin, direction) {
  const cos = Math.cos(yaw), sin = Math.sin(yaw);
  const turn = ([a, b, c]) => [a * cos + b * sin, b * cos - a * sin, c];
  const from = turn([origin[0] - x, origin[1] - y, origin[2] - z]), along = turn(direction);
  let near = 0, far = Infinity;
  [l, w, h].forEach((size, axis) => {
    const a = (-size / 2 - from[axis]) / along[axis], b = (size / 2 - from[axis]) / along[axis];
    near = Math.max(near, Math.min(a, b));
    far = Math.min(far, Math.max(a, b));
  });
  return near <= far;
}
