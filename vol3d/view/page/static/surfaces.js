// Surfaces of organs, lit from the eye. They are made by the server when they are first asked for.
import * as THREE from "three";
import { rgb } from "./colours.js";
import { loadBuffer } from "./load.js";

const VERTEX = `
  varying vec3 vNormal, vEye;
  void main() {
    vec4 eye = modelViewMatrix * vec4(position, 1.0);
    vNormal = normalMatrix * normal;
    vEye = eye.xyz;
    gl_Position = projectionMatrix * eye;
  }`;

const FRAGMENT = `
  uniform vec3 colour;
  uniform float opacity;
  varying vec3 vNormal, vEye;
  void main() {
    vec3 n = normalize(vNormal), v = normalize(-vEye);
    float facing = abs(dot(n, v)), above = 0.5 + 0.5 * n.y;
    vec3 lit = colour * (0.30 + 0.55 * facing + 0.18 * above) + vec3(0.10) * pow(facing, 24.0);
    gl_FragColor = vec4(lit, mix(opacity, 1.0, (1.0 - facing) * 0.35));
  }`;

export class Surfaces {
  constructor(redraw) {
    this.redraw = redraw;
    this.group = new THREE.Group();
    this.opacity = { value: 1 };
    this.made = new Map();  // by the buffer's name
    this.queue = Promise.resolve();
  }

  // One after the other: the server makes them with one processor's work each.
  show(organ, on) {
    if (!this.made.has(organ.surface)) {
      if (!on) return;
      const geometry = new THREE.BufferGeometry(), made = new THREE.Group();
      made.colour = organ.colour;
      made.add(new THREE.Mesh(geometry, this.#material(organ.colour)), new THREE.Mesh(geometry, this.#ghost(organ.colour)));
      this.made.set(organ.surface, made);
      this.group.add(made);
      this.queue = this.queue.then(async () => {
        fill(geometry, await loadBuffer(organ.surface));
        this.loaded = (this.loaded ?? 0) + 1;
        this.redraw();
      }).catch((error) => console.error(error));
    }
    this.made.get(organ.surface).visible = on;
  }

  #material(colour) {
    const uniforms = { colour: { value: new THREE.Vector3(...rgb(colour)) }, opacity: this.opacity };
    return new THREE.ShaderMaterial({ vertexShader: VERTEX, fragmentShader: FRAGMENT, uniforms, side: THREE.DoubleSide });
  }

  // What is behind a plane shines through it.
  #ghost(colour) {
    const uniforms = { colour: { value: new THREE.Vector3(...rgb(colour)) }, opacity: { value: 0.3 } };
    return new THREE.ShaderMaterial({
      vertexShader: VERTEX, fragmentShader: FRAGMENT, uniforms, transparent: true, depthWrite: false, depthFunc: THREE.GreaterDepth,
    });
  }

  // In the colours of the page's theme.
  recolour() {
    for (const { colour, children } of this.made.values()) {
      for (const { material } of children) material.uniforms.colour.value.set(...rgb(colour));
    }
  }

  setOpacity(value) {
    this.opacity.value = value;
    for (const { children: [{ material }] } of this.made.values()) Object.assign(material, { transparent: value < 1, depthWrite: value === 1 });
  }

  get triangles() {
    return [...this.made.values()].reduce((sum, made) => sum + (made.visible ? (made.children[0].geometry.index?.count ?? 0) / 3 : 0), 0);
  }
}

function fill(geometry, buffer) {
  const [corners, triangles] = new Uint32Array(buffer, 0, 2);
  geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(buffer, 8, 3 * corners), 3));
  geometry.setAttribute("normal", new THREE.BufferAttribute(new Float32Array(buffer, 8 + 12 * corners, 3 * corners), 3));
  geometry.setIndex(new THREE.BufferAttribute(new Uint32Array(buffer, 8 + 24 * corners, 3 * triangles), 1));
  geometry.computeBoundingSphere();  // it was drawn, and measured, when it was still empty
}
