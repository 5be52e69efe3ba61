// What is written over the 3D picture: names of boxes that do not cover one another, axes, the grid's step.
import { themed } from "./colours.js";

const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", "DejaVu Sans", sans-serif';
const AXES = [["x", [1, 0, 0], "#e4572e"], ["y", [0, 1, 0], "#2fa866"], ["z", [0, 0, 1], "#4d8fe0"]];

export class Overlay {
  // `letters`: names of the ends of the axes. `labels()` yields { text, colour, at: [x, y, z], weight }.
  constructor(canvas, stage, { letters = ["x", "y", "z"], caption = "", labels = () => [] }) {
    Object.assign(this, { canvas, stage, letters, caption, labels, extras: [] });
    stage.afterDraw.push(() => this.draw());
  }

  draw() {
    const ratio = this.stage.renderer.getPixelRatio(), { clientWidth: width, clientHeight: height } = this.canvas;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = FONT;
    context.textBaseline = "middle";
    const at = this.stage.place(this.stage.pane);
    if (at) {
      this.#labels(context, at);
      this.#axes(context, at);
    }
    for (const extra of this.extras) extra(context);
  }

  // Those of most weight choose first; what finds no place is left out.
  #labels(context, at) {
    const taken = [], ink = themed("ink"), card = themed("card");
    this.written = 0;
    for (const { text, colour, at: point, weight } of this.labels().sort((a, b) => b.weight - a.weight)) {
      const place = this.stage.project(...point);
      if (!place) continue;
      const width = context.measureText(text).width + 14, height = 19;
      const x = Math.min(Math.max(place[0] - width / 2, at.x + 4), at.x + at.width - width - 4), y = place[1] - height - 5;
      const covers = taken.some((t) => x < t.x + t.width + 2 && t.x < x + width + 2 && y < t.y + height + 2 && t.y < y + height + 2);
      if (covers && weight < Infinity) continue;
      taken.push({ x, y, width });
      this.written += 1;
      context.globalAlpha = 0.88;
      context.fillStyle = card;
      context.beginPath();
      context.roundRect(x, y, width, height, 4);
      context.fill();
      context.globalAlpha = 1;
      context.fillStyle = colour;
      context.beginPath();
      context.roundRect(x, y, 4, height, [4, 0, 0, 4]);
      context.fill();
      context.fillStyle = ink;
      context.fillText(text, x + 9, y + height / 2 + 0.5);
    }
  }

  #axes(context, at) {
    const origin = [at.x + 40, at.y + at.height - 44], length = 26;
    const inverse = this.stage.camera.matrixWorldInverse.elements;
    const ends = AXES.map(([, [x, y, z], colour], i) => ({
      colour, letter: this.letters[i],
      right: inverse[0] * x + inverse[4] * y + inverse[8] * z,
      up: inverse[1] * x + inverse[5] * y + inverse[9] * z,
      near: inverse[2] * x + inverse[6] * y + inverse[10] * z,
    })).sort((a, b) => a.near - b.near);
    context.textAlign = "center";
    context.lineWidth = 2;
    context.lineCap = "round";
    for (const { colour, letter, right, up } of ends) {
      context.strokeStyle = context.fillStyle = colour;
      context.beginPath();
      context.moveTo(...origin);
      context.lineTo(origin[0] + length * right, origin[1] - length * up);
      context.stroke();
      if (Math.hypot(right, up) > 0.25) context.fillText(letter, origin[0] + (length + 9) * right, origin[1] - (length + 9) * up);
    }
    context.textAlign = "left";
    context.fillStyle = themed("soft");
    context.fillText(this.caption, at.x + 84, at.y + at.height - 20);
  }
}
