// A pane that looks straight at one plane, as radiologists do: the patient's right is on the left of the picture.
import * as THREE from "three";
import { el } from "./dom.js";

// Axis of the plane's normal; directions to the right and up of the picture as signed axes; letters of the edges.
export const PLANES = [
  { name: "Axial", axis: 2, right: [0, -1], up: [1, 1], letters: ["R", "L", "A", "P"], colour: "#5c9dff" },
  { name: "Coronal", axis: 1, right: [0, -1], up: [2, 1], letters: ["R", "L", "S", "I"], colour: "#4fc38a" },
  { name: "Sagittal", axis: 0, right: [1, -1], up: [2, 1], letters: ["A", "P", "S", "I"], colour: "#f08a5d" },
];

export class PlanePane {
  // `moved(axis, index)` and `windowed(dx, dy)` tell what the user did.
  constructor(plane, slices, { moved, windowed }) {
    Object.assign(this, { ...plane, slices, moved, windowed });
    const n = slices.shape[this.axis];
    this.title = el("span", { className: "name" });
    this.slider = el("input", { type: "range", min: 0, max: n - 1, step: 1, oninput: () => moved(this.axis, this.slider.valueAsNumber) });
    this.slider.setAttribute("aria-label", `${this.name} slice`);
    const [left, right, top, bottom] = this.letters, letter = (side, text) => el("span", { className: side }, text);
    this.pane = el("div", { className: "pane plane" }, this.title, letter("left", left), letter("right", right), letter("top", top), letter("bottom", bottom), this.slider);
    this.camera = this.#makeCamera();
    this.background = "#000000";
    this.#listen();
  }

  #direction([axis, sign]) {
    return new THREE.Vector3().setFromMatrixColumn(this.slices.affine, axis).normalize().multiplyScalar(sign);
  }

  #makeCamera() {
    const right = this.#direction(this.right), up = this.#direction(this.up), back = right.clone().cross(up);
    const middle = new THREE.Vector3(...this.slices.shape.map((n) => (n - 1) / 2)).applyMatrix4(this.slices.affine);
    const spacing = [0, 1, 2].map((axis) => new THREE.Vector3().setFromMatrixColumn(this.slices.affine, axis).length());
    const size = this.slices.shape.map((n, axis) => n * spacing[axis]), far = Math.hypot(...size);
    const camera = new THREE.OrthographicCamera(-1, 1, 1, -1, 0, 2 * far);
    camera.quaternion.setFromRotationMatrix(new THREE.Matrix4().makeBasis(right, up, back));
    camera.position.copy(middle).addScaledVector(back, far);
    camera.layers.set(this.axis + 1);
    // The whole plane with room for the letters around it.
    camera.fit = ({ width, height }) => {
      this.scale = Math.max(size[this.right[0]] / Math.max(width - 56, 40), size[this.up[0]] / Math.max(height - 84, 40));  // mm in a pixel
      const x = width / 2 * this.scale, y = height / 2 * this.scale, lift = 10 * this.scale;
      Object.assign(camera, { left: -x, right: x, top: y - lift, bottom: -y - lift });
    };
    return camera;
  }

  #listen() {
    let pressed = null;
    const { pane } = this;
    pane.addEventListener("contextmenu", (event) => event.preventDefault());
    pane.addEventListener("pointerdown", (event) => {
      if (event.target !== pane) return;
      pane.setPointerCapture(event.pointerId);
      pressed = event.button;
      if (pressed === 0) this.#aim(event);
    });
    pane.addEventListener("pointermove", (event) => {
      if (pressed === 0) this.#aim(event);
      if (pressed === 2) this.windowed(event.movementX, event.movementY);
    });
    pane.addEventListener("pointerup", () => { pressed = null; });
    pane.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.moved(this.axis, this.slices.index[this.axis].value - Math.sign(event.deltaY));
    }, { passive: false });
  }

  #aim(event) {
    const at = this.pane.getBoundingClientRect();
    const world = new THREE.Vector3((event.clientX - at.left) / at.width * 2 - 1, 1 - (event.clientY - at.top) / at.height * 2, 0).unproject(this.camera);
    const voxel = world.applyMatrix4(this.slices.affine.clone().invert()).toArray();
    for (const [axis] of [this.right, this.up]) this.moved(axis, Math.round(voxel[axis]));
  }

  // The other two planes as lines, and a bar of a round length.
  draw(context, at) {
    const { index, affine } = this.slices, [x, y] = this.#pixels(new THREE.Vector3(...index.map(({ value }) => value)).applyMatrix4(affine), at);
    context.lineWidth = 1;
    context.globalAlpha = 0.75;
    for (const other of PLANES) {
      if (other.axis === this.axis) continue;
      context.strokeStyle = other.colour;
      const upright = other.axis === this.right[0];
      for (const [from, to] of upright ? [[at.y, y - 7], [y + 7, at.y + at.height]] : [[at.x, x - 7], [x + 7, at.x + at.width]]) {
        context.beginPath();
        context.moveTo(...(upright ? [Math.round(x) + 0.5, from] : [from, Math.round(y) + 0.5]));
        context.lineTo(...(upright ? [Math.round(x) + 0.5, to] : [to, Math.round(y) + 0.5]));
        context.stroke();
      }
    }
    context.globalAlpha = 1;
    const millimetres = [100, 50, 20, 10, 5, 2, 1].find((length) => length / this.scale < at.width / 4) ?? 1;
    const right = at.x + at.width - 14, bottom = at.y + at.height - 38;
    context.strokeStyle = context.fillStyle = "#dfe5ea";
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(right - millimetres / this.scale, bottom);
    context.lineTo(right, bottom);
    context.stroke();
    context.textAlign = "right";
    context.fillText(`${millimetres} mm`, right, bottom - 10);
    context.textAlign = "left";
  }

  #pixels(point, at) {
    const p = point.project(this.camera);
    return [at.x + (p.x + 1) / 2 * at.width, at.y + (1 - p.y) / 2 * at.height];
  }

  update() {
    const index = this.slices.index[this.axis].value;
    this.slider.value = index;
    this.title.textContent = `${this.name}  ${index + 1} / ${this.slices.shape[this.axis]}`;
  }
}
