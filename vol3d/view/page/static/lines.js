// Lines of any width: WebGL itself draws them one pixel wide.
import * as THREE from "three";

const VERTEX = `
  attribute vec3 start, end, colour;
  attribute float weight;  // 0 hides the line, more than 1 widens it
  uniform vec2 resolution;
  uniform float width;
  varying vec3 vColour;

  void main() {
    vec4 a = projectionMatrix * modelViewMatrix * vec4(start, 1.0);
    vec4 b = projectionMatrix * modelViewMatrix * vec4(end, 1.0);
    float near = 1e-3;  // what is behind the eye is cut off
    if (a.w < near && b.w < near || weight == 0.0) { gl_Position = vec4(2.0, 2.0, 2.0, 1.0); return; }
    if (a.w < near) a = mix(a, b, (near - a.w) / (b.w - a.w));
    if (b.w < near) b = mix(b, a, (near - b.w) / (a.w - b.w));
    vec2 along = (b.xy / b.w - a.xy / a.w) * resolution;
    along = length(along) < 1e-6 ? vec2(1.0, 0.0) : normalize(along);
    vec2 across = vec2(-along.y, along.x);
    vec4 p = position.y < 0.5 ? a : b;
    // Half a width beyond the ends, so that corners close.
    vec2 offset = across * position.x + along * (2.0 * position.y - 1.0) * 0.9;
    p.xy += offset * width * weight / resolution * p.w;
    gl_Position = p;
    vColour = colour;
  }`;

const FRAGMENT = `
  uniform float alpha;
  varying vec3 vColour;
  void main() { gl_FragColor = vec4(vColour, alpha); }`;

export class Lines {
  // `ends`: Float32Array of start and end xyz of each line; `colours`: Uint8Array of rgb of each.
  constructor(ends, colours, resolution) {
    const count = ends.length / 6;
    const geometry = new THREE.InstancedBufferGeometry();
    geometry.setAttribute("position", new THREE.Float32BufferAttribute([-1, 0, 0, 1, 0, 0, -1, 1, 0, 1, 1, 0], 3));
    geometry.setIndex([0, 1, 2, 2, 1, 3]);
    const interleaved = new THREE.InstancedInterleavedBuffer(ends, 6);
    geometry.setAttribute("start", new THREE.InterleavedBufferAttribute(interleaved, 3, 0));
    geometry.setAttribute("end", new THREE.InterleavedBufferAttribute(interleaved, 3, 3));
    this.colours = new THREE.InstancedBufferAttribute(colours, 3, true);
    this.weights = new THREE.InstancedBufferAttribute(new Float32Array(count).fill(1), 1);
    geometry.setAttribute("colour", this.colours);
    geometry.setAttribute("weight", this.weights);
    geometry.instanceCount = count;
    this.width = { value: 2.2 };
    this.group = new THREE.Group();
    // What stands behind other things shines through.
    for (const [alpha, depthFunc] of [[1, THREE.LessEqualDepth], [0.28, THREE.GreaterDepth]]) {
      const material = new THREE.ShaderMaterial({
        vertexShader: VERTEX, fragmentShader: FRAGMENT, transparent: alpha < 1, depthFunc, depthWrite: alpha === 1,
        side: THREE.DoubleSide, uniforms: { resolution, width: this.width, alpha: { value: alpha } },
      });
      const mesh = new THREE.Mesh(geometry, material);
      mesh.frustumCulled = false;
      this.group.add(mesh);
    }
  }
}
