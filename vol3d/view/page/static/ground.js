// A grid on the floor whose step is 1, 2 or 5 times a power of ten.
import * as THREE from "three";
import { themed } from "./colours.js";

export class Ground {
  constructor(box, floor) {
    const size = box.getSize(new THREE.Vector3()), wide = Math.max(size.x, size.y, 1e-6);
    this.step = roundLength(wide / 8);
    const low = [box.min.x, box.min.y].map((v) => Math.floor(v / this.step) * this.step);
    const high = [box.max.x, box.max.y].map((v) => Math.ceil(v / this.step) * this.step);
    const ends = [];
    for (let x = low[0]; x <= high[0] + this.step / 2; x += this.step) ends.push(x, low[1], floor, x, high[1], floor);
    for (let y = low[1]; y <= high[1] + this.step / 2; y += this.step) ends.push(low[0], y, floor, high[0], y, floor);
    const geometry = new THREE.BufferGeometry().setAttribute("position", new THREE.Float32BufferAttribute(ends, 3));
    this.lines = new THREE.LineSegments(geometry, new THREE.LineBasicMaterial({ transparent: true, opacity: 0.28 }));
    this.lines.frustumCulled = false;
    this.recolour();
  }

  recolour() {
    this.lines.material.color.set(themed("soft"));
  }
}

function roundLength(value) {
  const decade = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * decade).find((step) => step >= value * 0.999);
}

export function lengthName(metres) {
  if (metres >= 1000) return `${+(metres / 1000).toPrecision(3)} km`;
  return metres >= 1 ? `${+metres.toPrecision(3)} m` : `${+(metres * 100).toPrecision(3)} cm`;
}
