// Three planes through a volume, in 3D and in panes of their own, with the masks' colours over them.
import * as THREE from "three";
import { colourTable, rgb } from "./colours.js";

const VERTEX = `
  uniform vec3 shape;  // voxels along i, j, k
  uniform int axis;
  uniform float index;
  varying vec3 voxel;
  void main() {
    vec2 p = position.xy;
    voxel = axis == 0 ? vec3(index, p * shape.yz - 0.5) : axis == 1 ? vec3(p.x * shape.x - 0.5, index, p.y * shape.z - 0.5)
      : vec3(p * shape.xy - 0.5, index);
    gl_Position = projectionMatrix * modelViewMatrix * vec4(voxel, 1.0);
  }`;

const IMAGE = `
  precision highp sampler3D;
  uniform sampler3D image;
  uniform vec3 shape;
  uniform vec2 window;  // black and white
  uniform bool hollow;  // black is seen through
  varying vec3 voxel;
  void main() {
    float value = texture(image, ((voxel + 0.5) / shape).zyx).r;
    if (hollow && value <= window.x) discard;
    gl_FragColor = vec4(vec3(clamp((value - window.x) / max(window.y - window.x, 1e-6), 0.0, 1.0)), 1.0);
  }`;

const FRAME = `
  uniform vec3 colour;
  void main() { gl_FragColor = vec4(colour, 0.8); }`;

// Inside as opaque as asked for, the outline always, one pixel and a half wide.
const MASK = `
  precision highp sampler3D;
  uniform sampler3D labels;
  uniform sampler2D colours;
  uniform vec3 shape;
  uniform float opacity;
  varying vec3 voxel;
  vec4 at(vec3 p) {
    float label = texture(labels, ((p + 0.5) / shape).zyx).r;
    return texture2D(colours, vec2((label * 255.0 + 0.5) / 256.0, 0.5));
  }
  void main() {
    vec4 here = at(voxel);
    vec3 right = dFdx(voxel) * 1.5, up = dFdy(voxel) * 1.5;
    bool edge = at(voxel + right) != here || at(voxel - right) != here || at(voxel + up) != here || at(voxel - up) != here;
    gl_FragColor = vec4(here.rgb, here.a * (edge ? 1.0 : opacity));
    if (gl_FragColor.a == 0.0) discard;
  }`;

export class Slices {
  // `colours`: of the rims of the planes across i, j and k.
  constructor(volume, buffers, colours) {
    const [i, j, k] = volume.shape;
    this.shape = volume.shape;
    this.affine = new THREE.Matrix4().set(...volume.affine.flat());
    this.index = [0, 1, 2].map(() => ({ value: 0 }));
    this.window = { value: new THREE.Vector2() };
    this.opacity = 0.35;
    this.voxels = new Uint16Array(buffers.get(volume.voxels));
    this.image = texture3d(this.voxels, [k, j, i], THREE.HalfFloatType, true);
    this.masks = volume.masks.map((mask) => {
      const labels = new Uint8Array(buffers.get(mask.labels));
      return { mask, labels, texture: texture3d(labels, [k, j, i], THREE.UnsignedByteType, false), colours: { value: null }, fill: { value: 0 } };
    });
    this.group = new THREE.Group();
    this.frames = [];
    this.meshes = [0, 1, 2].map((axis) => this.#plane(axis, colours[axis]));
    this.fill(this.opacity);
  }

  #plane(axis, colour) {
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.Float32BufferAttribute([0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0], 3));
    geometry.setIndex([0, 1, 2, 0, 2, 3]);
    const common = { shape: { value: new THREE.Vector3(...this.shape) }, axis: { value: axis }, index: this.index[axis] };
    const shaders = [{ fragmentShader: IMAGE, uniforms: { ...common, image: { value: this.image }, window: this.window, hollow: { value: false } } }];
    this.masks.forEach(({ texture, colours, fill }) => shaders.push({
      fragmentShader: MASK, uniforms: { ...common, labels: { value: texture }, colours, opacity: fill }, transparent: true, depthWrite: false,
    }));
    const meshes = shaders.map((shader, order) => {
      const material = new THREE.ShaderMaterial({ vertexShader: VERTEX, side: THREE.DoubleSide, ...shader });
      const mesh = new THREE.Mesh(geometry, material);
      mesh.frustumCulled = mesh.matrixAutoUpdate = false;
      mesh.matrix.copy(this.affine);
      mesh.renderOrder = order;
      mesh.layers.enable(axis + 1);
      this.group.add(mesh);
      return mesh;
    });
    // In 3D the air of one plane does not hide what is behind it; in its own pane black is black.
    meshes[0].onBeforeRender = (renderer, scene, camera, _, material) => {
      material.uniforms.hollow.value = camera.isPerspectiveCamera;
      material.uniformsNeedUpdate = true;
    };
    this.group.add(this.#frame(common, colour));
    return meshes;
  }

  // The rim of a plane, in 3D only.
  #frame(common, colour) {
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.Float32BufferAttribute([0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0], 3));
    const uniforms = { ...common, colour: { value: new THREE.Vector3(...rgb(colour)) } };
    const frame = new THREE.LineLoop(geometry, new THREE.ShaderMaterial({ vertexShader: VERTEX, fragmentShader: FRAME, uniforms, transparent: true }));
    frame.frustumCulled = frame.matrixAutoUpdate = false;
    frame.matrix.copy(this.affine);
    this.frames.push(frame);
    return frame;
  }

  // `hex`: a colour for each organ, null for one that is hidden.
  colour(number, hex) {
    const table = Array(256).fill("#000000"), alphas = Array(256).fill(0);
    hex.forEach((colour, i) => {
      if (colour) [table[i + 1], alphas[i + 1]] = [colour, 1];
    });
    this.masks[number].colours.value?.dispose();
    this.masks[number].colours.value = colourTable(table, false, alphas);
  }

  show(number, on) {
    for (const meshes of this.meshes) meshes[number + 1].visible = on;
    this.fill(this.opacity);
  }

  // Only the first mask that is shown is filled; over it the others are outlines.
  fill(opacity) {
    this.opacity = opacity;
    const first = this.masks.findIndex((_, number) => this.meshes[0][number + 1].visible);
    this.masks.forEach(({ fill }, number) => { fill.value = number === first ? opacity : 0; });
  }

  inSpace(on) {
    for (const mesh of [...this.meshes.flat(), ...this.frames]) mesh.layers[on ? "enable" : "disable"](0);
  }

  smooth(on) {
    this.image.magFilter = this.image.minFilter = on ? THREE.LinearFilter : THREE.NearestFilter;
    this.image.needsUpdate = true;
  }

  offset([i, j, k]) {
    return (i * this.shape[1] + j) * this.shape[2] + k;
  }

  // From -1 to 1.
  value(voxel) {
    return THREE.DataUtils.fromHalfFloat(this.voxels[this.offset(voxel)]);
  }

  label(number, voxel) {
    return this.masks[number].labels[this.offset(voxel)];
  }
}

// The last axis of the arrays is the fastest, so it is the texture's first.
function texture3d(data, [width, height, depth], type, smooth) {
  const texture = new THREE.Data3DTexture(data, width, height, depth);
  Object.assign(texture, { format: THREE.RedFormat, type, unpackAlignment: 1, needsUpdate: true });
  texture.magFilter = texture.minFilter = smooth ? THREE.LinearFilter : THREE.NearestFilter;
  return texture;
}
