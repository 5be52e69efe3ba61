// How far a scene reaches. A few points far outside, which scanners have, do not move the eye away.
import * as THREE from "three";

const SAMPLES = 20000, OUTSIDE = 0.01;

// `body`: points that a view should show, as arrays; `box`: around them; `reach`: around everything; `floor`: a height.
export function bounds(clouds, boxes, buffers) {
  const box = new THREE.Box3(), reach = new THREE.Box3();
  const columns = [[], [], []];
  for (const cloud of clouds) {
    const xyz = new Float32Array(buffers.get(cloud.buffers.xyz)), step = Math.max(1, Math.floor(xyz.length / 3 / SAMPLES));
    const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
    for (let i = 0; i < xyz.length / 3; i++) {
      for (let axis = 0; axis < 3; axis++) {
        const value = xyz[3 * i + axis];
        if (value < low[axis]) low[axis] = value;
        if (value > high[axis]) high[axis] = value;
        if (i % step === 0) columns[axis].push(value);
      }
    }
    if (xyz.length) reach.union(new THREE.Box3(new THREE.Vector3(...low), new THREE.Vector3(...high)));
  }
  const sorted = columns.map((column) => Float32Array.from(column).sort());
  const at = (share) => new THREE.Vector3(...sorted.map((column) => column[Math.round(share * (column.length - 1))]));
  if (sorted[0].length) box.set(at(OUTSIDE), at(1 - OUTSIDE));
  const body = [];
  for (let i = 0; i < columns[0].length; i++) {
    const point = new THREE.Vector3(columns[0][i], columns[1][i], columns[2][i]);
    if (box.containsPoint(point)) body.push(point);
  }
  for (const layer of boxes) {
    const ends = new Float32Array(buffers.get(layer.lines));
    for (let i = 0; i < ends.length; i += 3) body.push(new THREE.Vector3(ends[i], ends[i + 1], ends[i + 2]));
  }
  box.setFromPoints(body);
  if (box.isEmpty()) box.set(new THREE.Vector3(-1, -1, -1), new THREE.Vector3(1, 1, 1));
  if (box.getSize(new THREE.Vector3()).length() < 1e-3) box.expandByScalar(0.5);
  reach.union(box);
  if (body.length < 2) body.push(box.min, box.max);
  const floor = sorted[0].length ? sorted[2][Math.round(0.01 * (sorted[2].length - 1))] : box.min.z;
  return { body, box, reach, floor };
}

// Where the eye stands to see all of `body`, aimed so that it fills the picture evenly: for each side of the picture,
// |p - e| <= slope (z - d) bounds the eye (e, z) by two half-planes for a point (p, d); d and z grow towards the eye.
export function stand(body, right, up, back, aspect, fieldOfView, zoom) {
  const tan = Math.tan(THREE.MathUtils.degToRad(fieldOfView / 2)) * 0.95;
  const depths = body.map((point) => point.dot(back)), eye = new THREE.Vector3();
  let away = -Infinity;
  for (const [direction, slope] of [[right, tan * aspect], [up, tan]]) {
    let first = -Infinity, second = Infinity;
    body.forEach((point, i) => {
      const p = point.dot(direction);
      first = Math.max(first, p + slope * depths[i]);
      second = Math.min(second, p - slope * depths[i]);
    });
    eye.addScaledVector(direction, (first + second) / 2);
    away = Math.max(away, (first - second) / 2 / slope);
  }
  const nearest = depths.reduce((a, b) => Math.max(a, b)), farthest = depths.reduce((a, b) => Math.min(a, b));
  const middle = (nearest + farthest) / 2, distance = Math.max(away - middle, 0.6 * (nearest - farthest), 1e-2) / zoom;
  const target = eye.clone().addScaledVector(back, middle);
  return { target, eye: target.clone().addScaledVector(back, distance) };
}
