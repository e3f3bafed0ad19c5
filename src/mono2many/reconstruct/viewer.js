"use strict";
// Coordinates are the reconstruction's: x right, y down, z ahead of the first camera.
const scene = JSON.parse(document.getElementById("scene").textContent);
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const film = document.getElementById("film");
film.src = URL.createObjectURL(new Blob([bytes(scene.film)], { type: "video/mp4" }));
const levels = new Uint16Array(bytes(scene.points).buffer);
const colours = bytes(scene.colours);
const points = Float32Array.from(levels, (level, i) => scene.low[i % 3] + level * scene.step[i % 3]);
const frames = scene.times.length;
const place = (n) => [3, 7, 11].map((i) => scene.poses[12 * n + i]);
const axis = (n, a) => [a, a + 4, a + 8].map((i) => scene.poses[12 * n + i]);
const path = Array.from({ length: frames }, (_, n) => place(n));

const plus = (a, b, s = 1) => a.map((x, i) => x + s * b[i]);
const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
const norm = (a) => Math.hypot(...a);
const unit = (a) => a.map((x) => x / (norm(a) || 1));
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
let travelled = 0;
for (let n = 1; n < frames; n++) travelled += norm(plus(path[n], path[n - 1], -1));
const straight = plus(path[frames - 1], path[0], -1);
const onward = norm(straight) > travelled / 4 ? straight : axis(0, 2);
const heading = Math.atan2(onward[0], onward[2]);

// The film's present frame.
let frame = 0;
function follow() {
  let low = 0, high = frames - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (scene.times[middle] <= film.currentTime + 1e-3) low = middle; else high = middle - 1;
  }
  if (low !== frame) { frame = low; draw(); }
  seek.value = film.currentTime / film.duration || 0;
  if (!film.paused) requestAnimationFrame(follow);
}
const play = document.getElementById("play"), seek = document.getElementById("seek");
const toggle = () => { if (film.paused) film.play(); else film.pause(); };
for (const one of [play, film]) one.addEventListener("click", toggle);
for (const event of ["play", "pause"])
  film.addEventListener(event, () => { play.textContent = film.paused ? "Play" : "Pause"; requestAnimationFrame(follow); });
seek.addEventListener("input", () => { film.currentTime = seek.value * film.duration; });
film.addEventListener("seeked", follow);

// The points.
const canvas = document.getElementById("cloud");
const gl = canvas.getContext("webgl", { antialias: true, preserveDrawingBuffer: true });
const extent = Math.max(travelled, 120 * scene.cell);
const centre = [0, 1, 2].map((i) => points.reduce((sum, x, at) => at % 3 === i ? sum + x : sum, 0) / scene.count);
const views = {
  overview: { at: plus(centre, plus(path[frames >> 1], centre, -1), 0.4), turn: heading + 0.5, tilt: 0.45, away: 1.2 * extent },
  above: { at: centre, turn: heading, tilt: 1.5, away: 1.15 * extent },
};
let view = { ...views.overview };
let riding = false;
let program, paint;

function compile(kind, text) {
  const shader = gl.createShader(kind);
  gl.shaderSource(shader, text);
  gl.compileShader(shader);
  gl.attachShader(program, shader);
}
function buffer(data) {
  const made = gl.createBuffer();
  gl.bindBuffer(gl.ARRAY_BUFFER, made);
  gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
  return made;
}
function prepare() {
  program = gl.createProgram();
  compile(gl.VERTEX_SHADER, `attribute vec3 p; attribute vec3 c; uniform mat4 m; uniform float size; varying vec3 v;
    void main() { gl_Position = m * vec4(p, 1.0); gl_PointSize = clamp(size / gl_Position.w, 1.5, 48.0); v = c; }`);
  compile(gl.FRAGMENT_SHADER, "precision mediump float; varying vec3 v; void main() { gl_FragColor = vec4(v, 1.0); }");
  gl.linkProgram(program);
  gl.useProgram(program);
  gl.enable(gl.DEPTH_TEST);
  const p = gl.getAttribLocation(program, "p"), c = gl.getAttribLocation(program, "c");
  const cloud = buffer(points), tint = buffer(colours), line = buffer(new Float32Array(path.flat()));
  const marker = gl.createBuffer();
  paint = (matrix, size) => {
    gl.uniformMatrix4fv(gl.getUniformLocation(program, "m"), false, matrix);
    gl.uniform1f(gl.getUniformLocation(program, "size"), size);
    gl.bindBuffer(gl.ARRAY_BUFFER, cloud);
    gl.enableVertexAttribArray(p);
    gl.vertexAttribPointer(p, 3, gl.FLOAT, false, 0, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, tint);
    gl.enableVertexAttribArray(c);
    gl.vertexAttribPointer(c, 3, gl.UNSIGNED_BYTE, true, 0, 0);
    gl.drawArrays(gl.POINTS, 0, scene.count);
    gl.disableVertexAttribArray(c);
    if (riding) return;
    gl.vertexAttrib3f(c, 1.0, 0.35, 0.16);
    gl.bindBuffer(gl.ARRAY_BUFFER, line);
    gl.vertexAttribPointer(p, 3, gl.FLOAT, false, 0, 0);
    gl.drawArrays(gl.LINE_STRIP, 0, frames);
    gl.bindBuffer(gl.ARRAY_BUFFER, marker);
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(frustum()), gl.DYNAMIC_DRAW);
    gl.vertexAttribPointer(p, 3, gl.FLOAT, false, 0, 0);
    gl.vertexAttrib3f(c, 1.0, 1.0, 1.0);
    gl.drawArrays(gl.LINES, 0, 16);
  };
}
// The present camera: lines from its centre to the corners of its image, and around that.
function frustum() {
  const centre = path[frame], reach = 0.04 * extent;
  const corners = [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([x, y]) =>
    plus(plus(plus(centre, axis(frame, 2), reach), axis(frame, 0), x * reach * scene.half[0]), axis(frame, 1), y * reach * scene.half[1]));
  return corners.flatMap((corner, i) => [...centre, ...corner, ...corner, ...corners[(i + 1) % 4]]);
}
// Clip coordinates from the world's, column by column: axes right, down, ahead of an eye.
function projection(eye, right, down, ahead, half) {
  const near = 0.002 * extent, far = 20 * extent, depth = (far + near) / (far - near);
  const rows = [right.map((x) => x / half[0]), down.map((x) => -x / half[1]), ahead.map((x) => x * depth), ahead];
  const shift = [0, 0, -2 * far * near / (far - near), 0];
  return [0, 1, 2, 3].flatMap((column) => rows.map((row, i) => column < 3 ? row[column] : shift[i] - dot(row, eye)));
}
function axes() {
  const level = [Math.sin(view.turn), 0, Math.cos(view.turn)];
  const ahead = plus(level.map((x) => x * Math.cos(view.tilt)), [0, Math.sin(view.tilt), 0]);
  const right = [level[2], 0, -level[0]];
  return { ahead, right, down: cross(ahead, right) };
}
function drawCloud() {
  if (!gl) return;
  const ratio = Math.min(devicePixelRatio || 1, 2);
  const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  gl.viewport(0, 0, width, height);
  gl.clearColor(0.086, 0.078, 0.11, 1);
  gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  let half = [0.5 * width / height, 0.5], eye, right, down, ahead;
  if (riding) {
    eye = path[frame]; right = axis(frame, 0); down = axis(frame, 1); ahead = axis(frame, 2);
    const tall = Math.max(scene.half[1], scene.half[0] * height / width);
    half = [tall * width / height, tall];
  } else {
    ({ ahead, right, down } = axes());
    eye = plus(view.at, ahead, -view.away);
  }
  paint(projection(eye, right, down, ahead, half), 1.5 * scene.cell * height / 2 / half[1]);
}

// Turning, moving, zooming.
const fingers = new Map();
canvas.addEventListener("pointerdown", (e) => { canvas.setPointerCapture(e.pointerId); fingers.set(e.pointerId, e); });
for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (e) => fingers.delete(e.pointerId));
canvas.addEventListener("pointermove", (e) => {
  const before = fingers.get(e.pointerId);
  if (!before) return;
  const dx = e.clientX - before.clientX, dy = e.clientY - before.clientY;
  const other = [...fingers.values()].find((one) => one.pointerId !== e.pointerId);
  if (riding) choose(null);
  if (other) {
    const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
    view.away *= apart(before) / apart(e);
  }
  if (other || e.shiftKey || e.buttons === 2) {
    const { right, down } = axes(), scale = view.away / canvas.clientHeight * (other ? 0.5 : 1);
    view.at = plus(plus(view.at, right, -dx * scale), down, -dy * scale);
  } else {
    view.turn += dx * 0.008;
    view.tilt = Math.max(-1.5, Math.min(1.5, view.tilt + dy * 0.008));
  }
  fingers.set(e.pointerId, e);
  draw();
});
canvas.addEventListener("contextmenu", (e) => e.preventDefault());
canvas.addEventListener("wheel", (e) => { e.preventDefault(); view.away *= Math.exp(e.deltaY * 0.001); draw(); }, { passive: false });
const buttons = [...document.querySelectorAll("button[data-view]")];
function choose(name) {
  riding = name === "camera";
  if (views[name]) view = { ...views[name] };
  for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.view === name));
  draw();
}
for (const button of buttons) button.addEventListener("click", () => choose(button.dataset.view));

// The path from above: its direction to the right, which fits a wide picture.
const map = document.getElementById("path");
const [sin, cos] = [Math.sin(heading), Math.cos(heading)];
const flat = ([x, , z]) => [x * sin + z * cos, x * cos - z * sin];
function drawPath() {
  const ratio = Math.min(devicePixelRatio || 1, 2), style = getComputedStyle(document.body);
  const ink = map.getContext("2d"), width = map.clientWidth, height = map.clientHeight;
  map.width = width * ratio; map.height = height * ratio;
  ink.scale(ratio, ratio);
  const track = path.map(flat), us = track.map((p) => p[0]), vs = track.map((p) => p[1]);
  const [left, right] = [Math.min(...us), Math.max(...us)], [top, bottom] = [Math.min(...vs), Math.max(...vs)];
  const scale = Math.min((width - 80) / (right - left || 1), (height - 80) / (bottom - top || 1), height / (40 * scene.cell));
  const at = ([u, v]) => [width / 2 + (u - (left + right) / 2) * scale, height / 2 + (v - (top + bottom) / 2) * scale];
  ink.globalAlpha = 0.55;
  const side = Math.max(1.5, scene.cell * scale);
  for (let i = 0; i < scene.count; i += Math.max(1, Math.round(scene.count / 40000))) {
    const [x, y] = at(flat(points.subarray(3 * i, 3 * i + 3)));
    if (x < 0 || y < 0 || x > width || y > height) continue;
    ink.fillStyle = `rgb(${colours[3 * i]},${colours[3 * i + 1]},${colours[3 * i + 2]})`;
    ink.fillRect(x, y, side, side);
  }
  ink.globalAlpha = 1;
  ink.strokeStyle = "#ff5a28"; ink.lineWidth = 3; ink.lineJoin = "round";
  ink.beginPath();
  track.forEach((p) => ink.lineTo(...at(p)));
  ink.stroke();
  ink.fillStyle = "#fff"; ink.lineWidth = 2.5;
  ink.beginPath();
  ink.arc(...at(track[frame]), 6, 0, 7);
  ink.fill(); ink.stroke();
  const bar = [1, 2, 5].flatMap((n) => [-3, -2, -1, 0, 1, 2, 3].map((e) => n * 10 ** e)).sort((a, b) => a - b)
    .filter((length) => length * scale < width / 4).pop();
  ink.fillStyle = ink.strokeStyle = style.color; ink.lineWidth = 2;
  ink.fillRect(16, height - 14, bar * scale, 2);
  ink.font = "12px sans-serif";
  ink.fillText(`${bar} ${scene.unit}`, 16, height - 20);
}
function draw() { drawCloud(); drawPath(); }
if (gl) prepare();
else canvas.insertAdjacentHTML("afterend", "<p>This browser has no WebGL, which draws the points.</p>");
addEventListener("resize", draw);
draw();
