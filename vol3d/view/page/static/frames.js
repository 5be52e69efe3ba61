// The clouds of a recording: each is a page of its own, and what was chosen goes from one to the next.
import { theme } from "./colours.js";
import { button, el, section, select } from "./dom.js";

const KEPT = "vol3d-frame";

// Before the view is built: the choices that the cloud before left, in place of those of the opening.
export function takeOver(description) {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  sessionStorage.removeItem(KEPT);
  if (!description.frames || !kept) return null;
  const { opening, class_colours: colours, sources } = description;
  opening.score = kept.score;
  opening.background = kept.theme;
  opening.classes = kept.hidden.length ? Object.keys(colours).filter((name) => !kept.hidden.includes(name)) : opening.classes;
  opening.source = sources.includes(kept.source) ? kept.source : opening.source;
  return kept;
}

// Its part of the panel; returns the buttons by their keys.
export function frameSection({ frames }, view, kept) {
  if (!frames) return {};
  const { numbers, now } = frames, at = numbers.indexOf(now);
  if (kept) view.stage.stand(kept.target, kept.position);
  const go = (index) => {
    const number = numbers[Math.min(Math.max(index, 0), numbers.length - 1)];
    if (number === now) return;
    sessionStorage.setItem(KEPT, JSON.stringify({ theme: theme(), ...view.choices, ...view.stage.standing }));
    location.replace(`/${location.pathname.split("/")[1]}/frame/${number}/`);
  };
  const before = button("Previous", () => go(at - 1), "The cloud before (,)");
  const after = button("Next", () => go(at + 1), "The next cloud (.)");
  const made = section("Frame", select(`${at + 1} of ${numbers.length}`, numbers.map((number, i) => [i, number]), at, (i) => go(Number(i))),
    el("div", { className: "buttons" }, before, after));
  made.id = "frame";
  document.getElementById("sections").prepend(made);
  return { ",": before, ".": after };
}
