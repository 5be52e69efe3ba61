// The renderer, the eye that orbits with z up, and drawing only when something changed.
import * as THREE from "three";
import { OrbitControls } from "./vendor/three/OrbitControls.js";
import { themed } from "./colours.js";
import { stand } from "./bounds.js";

const FIELD_OF_VIEW = 45;

export class Stage {
  // `pane`: the element to orbit in; `body`: points that the view shows; `reach`: the box of all that there is.
  constructor(canvas, pane, body, reach, opening) {
    this.pane = pane;
    this.body = body;
    this.reach = reach.getBoundingSphere(new THREE.Sphere());
    this.opening = opening;
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: true });
    this.renderer.autoClear = false;
    this.scene = new THREE.Scene();
    this.camera = new THREE.PerspectiveCamera(FIELD_OF_VIEW, 1, 0.1, 1000);
    this.camera.up.set(0, 0, 1);
    this.resolution = { value: new THREE.Vector2(1, 1) };
    this.controls = new OrbitControls(this.camera, pane);
    Object.assign(this.controls, { enableDamping: !calm(), dampingFactor: 0.12, zoomToCursor: true, screenSpacePanning: true });
    this.controls.listenToKeyEvents(pane);
    this.controls.addEventListener("change", () => this.redraw());
    this.controls.addEventListener("start", () => { this.flight = null; });
    this.first = null;  // what is drawn before the scene: { draw(camera) }
    this.planes = [];  // further views: { pane, camera, background }
    this.afterDraw = [];
    this.frames = 0;
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
    new ResizeObserver(() => this.resize()).observe(pane);
    this.resize();
    this.look("home", false);
    const frame = (now) => {
      this.#fly(now);
      this.controls.update();
      if (this.stale) this.draw();
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  redraw() {
    this.stale = true;
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.renderer.domElement.parentElement;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.setSize(width, height, false);
    this.camera.aspect = Math.max(this.pane.clientWidth, 1) / Math.max(this.pane.clientHeight, 1);
    this.redraw();
  }

  // Where a pane stands on the canvas in CSS pixels, or null where it is hidden.
  place(pane) {
    const outer = this.renderer.domElement.getBoundingClientRect(), inner = pane.getBoundingClientRect();
    if (!inner.width || !inner.height) return null;
    return { x: inner.left - outer.left, y: inner.top - outer.top, width: inner.width, height: inner.height, below: outer.bottom - inner.bottom };
  }

  draw() {
    this.stale = false;
    this.frames += 1;
    this.#fitDepth();
    this.renderer.setScissorTest(true);
    const views = [{ pane: this.pane, camera: this.camera, background: themed("stage") }, ...this.planes];
    for (const { pane, camera, background } of views) {
      const at = this.place(pane);
      if (!at) continue;
      this.renderer.setViewport(at.x, at.below, at.width, at.height);
      this.renderer.setScissor(at.x, at.below, at.width, at.height);
      this.renderer.setClearColor(new THREE.Color(background));
      this.renderer.clear();
      this.resolution.value.set(at.width, at.height);
      camera.fit?.(at);
      camera.updateProjectionMatrix();
      if (camera === this.camera) this.first?.draw(camera);
      this.renderer.render(this.scene, camera);
    }
    for (const then of this.afterDraw) then();
  }

  // Near and far as close as the scene allows: a sweep reaches from a hand's breadth to 100 m.
  #fitDepth() {
    const { center, radius } = this.reach, away = this.camera.position.distanceTo(center);
    this.camera.far = Math.max(away + 1.05 * radius, 1e-3);
    this.camera.near = Math.max(away - 1.05 * radius, this.camera.far / 4000);
  }

  // `home`, `top` or `front`; the whole scene is in the picture.
  look(name, smooth = true) {
    const { azimuth, elevation, zoom, front } = this.opening.camera;
    const [turn, rise] = { home: [azimuth, elevation], top: [-90, 89.99], front: [front, 0] }[name];
    const a = THREE.MathUtils.degToRad(turn), e = THREE.MathUtils.degToRad(rise);
    const back = new THREE.Vector3(Math.cos(e) * Math.cos(a), Math.cos(e) * Math.sin(a), Math.sin(e));
    const right = new THREE.Vector3(-Math.sin(a), Math.cos(a), 0), up = back.clone().cross(right);
    const { eye, target } = stand(this.body, right, up, back, this.camera.aspect, FIELD_OF_VIEW, name === "home" ? zoom : 1);
    this.distance = eye.distanceTo(target);
    this.fly(target, eye, smooth);
  }

  // Takes the eye to `position`, looking at `target`.
  fly(target, position, smooth = true) {
    const flight = { target, position, fromTarget: this.controls.target.clone(), fromPosition: this.camera.position.clone() };
    this.flight = { ...flight, start: performance.now(), duration: smooth && !calm() ? 350 : 0 };
    if (!this.flight.duration) this.#fly(Infinity);
  }

  // Where the eye is and what it looks at, as arrays; `stand` puts it there.
  get standing() {
    return { target: this.controls.target.toArray(), position: this.camera.position.toArray() };
  }

  stand(target, position) {
    this.fly(new THREE.Vector3(...target), new THREE.Vector3(...position), false);
  }

  #fly(now) {
    if (!this.flight) return;
    const { target, position, fromTarget, fromPosition, start, duration } = this.flight;
    const share = duration ? Math.min((now - start) / duration, 1) : 1, eased = share * share * (3 - 2 * share);
    this.controls.target.lerpVectors(fromTarget, target, eased);
    this.camera.position.lerpVectors(fromPosition, position, eased);
    this.controls.update();
    this.camera.updateMatrixWorld();
    if (share >= 1) this.flight = null;
    this.redraw();
  }

  // Where a point of the scene is in the 3D pane, in CSS pixels of the canvas; null behind the eye or outside.
  project(x, y, z) {
    const p = new THREE.Vector3(x, y, z).project(this.camera), at = this.place(this.pane);
    if (!at || p.z > 1 || Math.abs(p.x) > 1 || Math.abs(p.y) > 1) return null;
    return [at.x + (p.x + 1) / 2 * at.width, at.y + (1 - p.y) / 2 * at.height];
  }

  // The ray under a pointer event in the 3D pane.
  ray(event) {
    const at = this.pane.getBoundingClientRect(), caster = new THREE.Raycaster();
    const pointer = new THREE.Vector2((event.clientX - at.left) / at.width * 2 - 1, 1 - (event.clientY - at.top) / at.height * 2);
    caster.setFromCamera(pointer, this.camera);
    return { origin: caster.ray.origin.toArray(), direction: caster.ray.direction.toArray() };
  }
}

function calm() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
