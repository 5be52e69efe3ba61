// Fetches the description and the arrays that it names, and tells how far it is.

export async function loadDescription() {
  return (await answered("scene.json")).json();
}

// Arrays by name; `report(loaded, total)` in bytes, of those whose length is known so far.
export async function loadBuffers(names, report) {
  const known = new Map();
  const tell = () => {
    const parts = [...known.values()];
    report(parts.reduce((sum, part) => sum + part.loaded, 0), parts.reduce((sum, part) => sum + part.total, 0));
  };
  const buffers = await Promise.all(names.map((name) => loadBuffer(name, (loaded, total) => {
    known.set(name, { loaded, total });
    tell();
  })));
  return new Map(names.map((name, i) => [name, buffers[i]]));
}

export async function loadBuffer(name, report = () => {}) {
  const response = await answered(`data/${name}`);
  const bytes = new Uint8Array(Number(response.headers.get("Content-Length")));
  const reader = response.body.getReader();
  let loaded = 0;
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    bytes.set(piece.value, loaded);
    loaded += piece.value.length;
    report(loaded, bytes.length);
  }
  if (loaded !== bytes.length) throw new Error(`${name}: ${loaded} of ${bytes.length} bytes arrived`);
  return bytes.buffer;
}

async function answered(path) {
  const response = await fetch(path).catch(() => null);
  if (!response?.ok) throw new Error("The server does not answer; is `vol3d view` still running?");
  return response;
}
