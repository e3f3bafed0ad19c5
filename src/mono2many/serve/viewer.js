// The slider between image and disparity, and the depth under the cursor.
(() => {
  const maps = new Map();
  delete Navigator.prototype.gpu; // Gradio's 3D view tries WebGPU first, and logs an error where there is none

  // A float32 array of two dimensions in NumPy's format.
  async function readDepth(url) {
    const response = await fetch(url);
    if (!response.ok) throw new Error("the result was removed: upload the file again");
    const data = await response.arrayBuffer();
    const length = new DataView(data).getUint16(8, true);
    const header = new TextDecoder().decode(new Uint8Array(data, 10, length));
    const columns = Number(/'shape': \(\d+, (\d+)\)/.exec(header)[1]);
    return { columns, values: new Float32Array(data, 10 + length) };
  }

  async function show(event) {
    const stage = event.target.closest?.(".m2m-stage");
    if (!stage) return;
    const figure = stage.closest("figure"), { depth, step, width, height, unit } = figure.dataset;
    const box = stage.getBoundingClientRect();
    const at = (offset, size, pixels) =>
      Math.floor(Math.min(Math.max(offset / size, 0), 0.999999) * pixels / step);
    const x = at(event.clientX - box.left, box.width, width);
    const y = at(event.clientY - box.top, box.height, height);
    if (!maps.has(depth)) {
      maps.clear();
      maps.set(depth, readDepth(depth));
    }
    const output = figure.querySelector("output");
    try {
      const { columns, values } = await maps.get(depth);
      output.textContent = `pixel ${x * step}, ${y * step}: depth ${values[y * columns + x].toPrecision(4)} ${unit}`;
    } catch (error) {
      output.textContent = error.message;
    }
  }

  document.addEventListener("pointermove", show);
  document.addEventListener("pointerdown", show);
  document.addEventListener("input", (event) => {
    const colour = event.target.closest?.(".m2m-result figure")?.querySelector(".m2m-colour");
    if (colour) colour.style.clipPath = `inset(0 0 0 ${100 - event.target.value}%)`;
  });
})();
