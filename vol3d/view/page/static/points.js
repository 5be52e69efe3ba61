// Point clouds: round dots coloured by one of several sources, up to a height.
import * as THREE from "three";
import { colourTable, ownShare, rgb } from "./colours.js";

const MODES = { rgb: 0, class: 1, intensity: 2, height: 3, flat: 4, attention: 5 };

const VERTEX = `
  attribute vec3 rgb;
  attribute float intensity, attention, kind;
  uniform int mode;
  uniform float own, size, reference, low, high, ceiling, kinds;
  uniform vec3 flatColour;
  uniform sampler2D heights, intensities, classes;
  varying vec3 vColour;

  vec3 ramp(sampler2D table, float x) {  // from the middle of the first texel to the middle of the last
    float n = float(textureSize(table, 0).x);
    return texture2D(table, vec2((clamp(x, 0.0, 1.0) * (n - 1.0) + 0.5) / n, 0.5)).rgb;
  }

  void main() {
    vec4 eye = modelViewMatrix * vec4(position, 1.0);
    gl_Position = projectionMatrix * eye;
    if (position.z > ceiling) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
    gl_PointSize = clamp(size * reference / -eye.z, max(1.0, 0.4 * size), 12.0 * size);
    if (mode == 0) vColour = own * rgb;
    else if (mode == 1) vColour = texture2D(classes, vec2((kind + 0.5) / kinds, 0.5)).rgb;
    else if (mode == 2) vColour = ramp(intensities, intensity);
    else if (mode == 3) vColour = ramp(heights, (position.z - low) / max(high - low, 1e-6));
    else if (mode == 5) vColour = ramp(intensities, attention);
    else vColour = flatColour;
  }`;

const FRAGMENT = `
  varying vec3 vColour;
  void main() {
    vec2 p = gl_PointCoord - 0.5;
    if (dot(p, p) > 0.25) discard;
    gl_FragColor = vec4(vColour, 1.0);
  }`;

export class Points {
  constructor(clouds, ramps, buffers) {
    this.group = new THREE.Group();
    this.reference = { value: 1 };
    this.size = { value: 2 };
    this.ceiling = { value: 1e30 };
    this.ramps = ramps;
    this.tables = { heights: { value: null }, intensities: { value: null }, classes: { value: null }, kinds: { value: ramps.class.length }, own: { value: 1 } };
    this.layers = clouds.map((cloud) => this.#layer(cloud, buffers));
    this.recolour();
  }

  #layer(cloud, buffers) {
    const geometry = new THREE.BufferGeometry();
    const array = (column, type) => new type(buffers.get(cloud.buffers[column]));
    const xyz = array("xyz", Float32Array);
    geometry.setAttribute("position", new THREE.BufferAttribute(xyz, 3));
    if (cloud.buffers.rgb) geometry.setAttribute("rgb", new THREE.BufferAttribute(array("rgb", Uint8Array), 3, true));
    if (cloud.buffers.intensity) geometry.setAttribute("intensity", new THREE.BufferAttribute(array("intensity", Uint8Array), 1, true));
    if (cloud.buffers.attention) geometry.setAttribute("attention", new THREE.BufferAttribute(array("attention", Uint8Array), 1, true));
    if (cloud.buffers.class) geometry.setAttribute("kind", new THREE.BufferAttribute(array("class", Uint8Array), 1));
    const material = new THREE.ShaderMaterial({
      vertexShader: VERTEX,
      fragmentShader: FRAGMENT,
      uniforms: {
        ...this.tables, size: this.size, reference: this.reference, ceiling: this.ceiling,
        mode: { value: 0 }, low: { value: cloud.height_range[0] }, high: { value: cloud.height_range[1] },
        flatColour: { value: new THREE.Vector3() },
      },
    });
    const points = new THREE.Points(geometry, material);
    points.frustumCulled = false;
    this.group.add(points);
    return { cloud, xyz, points };
  }

  // In the colours of the page's theme.
  recolour() {
    const { heights, intensities, classes, own } = this.tables;
    own.value = ownShare();
    for (const { value } of [heights, intensities, classes]) value?.dispose();
    heights.value = colourTable(this.ramps.height, true);
    intensities.value = colourTable(this.ramps.intensity, true);
    classes.value = colourTable(this.ramps.class, false);
    for (const { cloud, points } of this.layers) points.material.uniforms.flatColour.value.set(...rgb(cloud.flat));
  }

  // What a cloud lacks it shows by its first source.
  colourBy(source) {
    for (const { cloud, points } of this.layers) {
      const chosen = cloud.sources.includes(source) ? source : cloud.sources[0];
      points.material.uniforms.mode.value = MODES[chosen];
    }
  }

  get shown() {
    return this.layers.filter(({ points }) => points.visible).reduce((sum, { xyz }) => sum + xyz.length / 3, 0);
  }
}
