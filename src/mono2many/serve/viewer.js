// The slider between image and disparity, and the depth under the cursor.
(() => {
  const maps = new Map();
  let asked = 0;
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

  // Depth of one frame of a video, of which the file holds one after the other.
  async function readFrame({ frames, rows, columns }, number) {
    const bytes = 4 * rows * columns, first = number * bytes;
    const response = await fetch(frames, { headers: { Range: `bytes=${first}-${first + bytes - 1}` } });
    if (!response.ok) throw new Error("the result was removed: upload the file again");
    const data = await response.arrayBuffer();
    return new Float32Array(response.status === 206 ? data : data.slice(first, first + bytes));
  }

  // What `read` promises, of which the last is kept.
  function cached(key, read) {
    if (!maps.has(key)) {
      maps.clear();
      maps.set(key, read());
    }
    return maps.get(key);
  }

  const cell = (share, count) => Math.floor(Math.min(Math.max(share, 0), 0.999999) * count);

  async function depthOfImage(stage, event) {
    const { depth, step, width, height } = stage.closest("figure").dataset;
    const box = stage.getBoundingClientRect();
    const x = cell((event.clientX - box.left) / box.width, width / step);
    const y = cell((event.clientY - box.top) / box.height, height / step);
    const { columns, values } = await cached(depth, () => readDepth(depth));
    return [`pixel ${x * step}, ${y * step}`, values[y * columns + x]];
  }

  // Its left half is the frame, the right one its disparity; a strip for the controls lies below both.
  async function depthOfFrame(video, event) {
    const data = video.closest("figure").dataset, times = JSON.parse(data.times);
    const box = video.getBoundingClientRect(), now = video.currentTime + 0.001;
    const scale = Math.min(box.width / video.videoWidth, box.height / video.videoHeight);
    const across = (event.clientX - box.left - box.width / 2) / (scale * video.videoWidth) + 0.5;
    const down = (event.clientY - box.top) / (scale * video.videoHeight);
    const number = Math.max(times.findLastIndex((time) => time <= now), 0);
    const values = await cached(`${data.frames} ${number}`, () => readFrame(data, number));
    const x = cell((2 * across) % 1, data.columns), y = cell(down, data.rows);
    return [`${times[number].toFixed(2)} s`, values[y * data.columns + x]];
  }

  async function show(event) {
    const stage = event.target.closest?.(".m2m-stage, .m2m-result video");
    if (!stage) return;
    const own = ++asked, figure = stage.closest("figure"), output = figure.querySelector("output");
    try {
      const find = stage.matches("video") ? depthOfFrame : depthOfImage;
      const [where, depth] = await find(stage, event);
      if (own === asked) output.textContent = `${where}: depth ${depth.toPrecision(4)} ${figure.dataset.unit}`;
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
