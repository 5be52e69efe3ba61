// Colours as the page's theme has them. What the server sends is meant for dark; light has a counterpart of each.
import * as THREE from "three";

let onLight = { colours: {}, own: 1 };

export function setTheme(name, light = onLight) {
  document.documentElement.dataset.theme = name;
  onLight = light;
}

export function theme() {
  return document.documentElement.dataset.theme;
}

export function shown(hex) {
  return theme() === "dark" ? hex : onLight.colours[hex] ?? hex;
}

// The share of their brightness that points in their own colours keep.
export function ownShare() {
  return theme() === "dark" ? 1 : onLight.own;
}

// As the shaders take it: display values from 0 to 1, no conversion.
export function rgb(hex) {
  const value = parseInt(shown(hex).slice(1), 16);
  return [(value >> 16 & 255) / 255, (value >> 8 & 255) / 255, (value & 255) / 255];
}

// A texture one texel high; `smooth` blends between its colours.
export function colourTable(colours, smooth, alphas = null) {
  const data = new Uint8Array(colours.length * 4);
  colours.forEach((colour, i) => {
    data.set(rgb(colour).map((value) => Math.round(value * 255)), 4 * i);
    data[4 * i + 3] = alphas ? alphas[i] * 255 : 255;
  });
  const texture = new THREE.DataTexture(data, colours.length, 1);
  texture.magFilter = texture.minFilter = smooth ? THREE.LinearFilter : THREE.NearestFilter;
  texture.needsUpdate = true;
  return texture;
}

// The page's own colours, which follow its theme.
export function themed(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
