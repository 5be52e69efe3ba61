// Points lit by depth (Boucheny 2009, eye-dome lighting): what stands behind its neighbours is darker, so that edges and
// shapes show where points have no normals.
import * as THREE from "three";

const VERTEX = "void main() { gl_Position = vec4(position.xy, 0.0, 1.0); }";

const FRAGMENT = `
  precision highp sampler2D;
  uniform sampler2D colours, depths;
  uniform float near, far, radius, strength;

  float away(ivec2 p) {  // logarithm of the distance, so that a step counts alike near and far
    float depth = texelFetch(depths, clamp(p, ivec2(0), textureSize(depths, 0) - 1), 0).r;
    return depth == 1.0 ? 1e6 : log2(near * far / (far - depth * (far - near)));
  }

  void main() {
    ivec2 p = ivec2(gl_FragCoord.xy);
    vec4 colour = texelFetch(colours, p, 0);
    if (colour.a == 0.0) discard;
    float here = away(p), hidden = 0.0;
    for (int i = 0; i < 8; i++) {
      float angle = float(i) * 0.7853982;
      hidden += clamp(here - away(p + ivec2(round(radius * vec2(cos(angle), sin(angle))))), 0.0, 0.12);
    }
    gl_FragColor = vec4(colour.rgb * exp(-strength * hidden), 1.0);
    gl_FragDepth = texelFetch(depths, p, 0).r;
  }`;

export class Shading {
  constructor(renderer, points) {
    this.renderer = renderer;
    this.on = true;
    this.scene = new THREE.Scene().add(points);
    this.target = new THREE.WebGLRenderTarget(1, 1, { depthTexture: new THREE.DepthTexture(1, 1, THREE.FloatType) });
    this.target.texture.minFilter = this.target.texture.magFilter = THREE.NearestFilter;
    const uniforms = {
      colours: { value: this.target.texture }, depths: { value: this.target.depthTexture },
      near: { value: 0 }, far: { value: 0 }, radius: { value: 1 }, strength: { value: 1.7 },
    };
    const material = new THREE.ShaderMaterial({ vertexShader: VERTEX, fragmentShader: FRAGMENT, uniforms, depthFunc: THREE.AlwaysDepth });
    this.screen = new THREE.Mesh(new THREE.PlaneGeometry(2, 2), material);
    this.screen.frustumCulled = false;
    this.uniforms = uniforms;
  }

  draw(camera) {
    if (!this.on) {
      this.renderer.render(this.scene, camera);
      return;
    }
    const size = this.renderer.getDrawingBufferSize(new THREE.Vector2());
    if (this.target.width !== size.x || this.target.height !== size.y) this.target.setSize(size.x, size.y);
    this.renderer.setRenderTarget(this.target);
    this.renderer.setClearColor(0, 0);
    this.renderer.clear();
    this.renderer.render(this.scene, camera);
    this.renderer.setRenderTarget(null);
    this.uniforms.near.value = camera.near;
    this.uniforms.far.value = camera.far;
    this.uniforms.radius.value = 1.5 * this.renderer.getPixelRatio();
    this.renderer.render(this.screen, camera);
  }
}
