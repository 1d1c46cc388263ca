"use strict";
const at = id => document.getElementById(id);
const form = at("query"), text = at("text"), file = at("file"), rerank = at("rerank"), results = at("results");
const settings = JSON.parse(form.dataset.settings);
const TRIES = 3;
let image = null, item = null, running = null;

const kind = query => `${query.text === null ? "" : "text+"}${query.image}>${query.to}`;
const isComposed = settings.kinds.some(name => /^text\+(image|item)>/.test(name));

function query() {
  const typed = text && text.value.trim() ? text.value : null;
  const chosen = form.elements.to ? form.elements.to.value : "images";
  const one = { text: typed, image: image ? "image" : item === null ? "no image" : "item", to: chosen };
  return { ...one, k: Number(at("k").value), rerank: Boolean(rerank && rerank.checked && settings.reranked.includes(kind(one))) };
}

function showError(message) {
  at("error").textContent = message;
  at("error").hidden = !message;
}

function showImage(source, name) {
  const shown = at("shown");
  if (shown.src.startsWith("blob:")) URL.revokeObjectURL(shown.src);
  at("preview").hidden = source === null;
  if (source === null) shown.removeAttribute("src"); else shown.src = source;
  shown.alt = source === null ? "" : "The image to search by";
  at("name").textContent = name;
}

function choose(newImage, newItem) {
  image = newImage;
  item = newItem;
  if (file && !image) file.value = "";
  if (image) showImage(URL.createObjectURL(image), image.name);
  else if (item !== null) showImage(`thumbnail/${encodeURIComponent(item)}`, item);
  else showImage(null, "");
  if (text && !isComposed && (image || item !== null)) text.value = "";
}

function chooseFile(chosen) {
  if (!chosen) return;
  showError("");
  if (!chosen.type.startsWith("image/")) return showError(`${chosen.name} is no image.`);
  if (chosen.size > settings.image_bytes) return showError(`${chosen.name} is larger than ${Math.floor(settings.image_bytes / 2 ** 20)} MB.`);
  choose(chosen, null);
  if (!isComposed || (text && text.value.trim())) search();
  else text.focus();
}

async function ask(wanted, signal) {
  const values = { k: wanted.k, to: wanted.to, rerank: wanted.rerank };
  if (wanted.text !== null) values.text = wanted.text;
  if (image) return fetch(`search/image?${new URLSearchParams(values)}`, { method: "POST", headers: { "content-type": image.type }, body: image, signal });
  if (item !== null) values.item = item;
  return fetch("search", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(values), signal });
}

async function answerOf(wanted, signal) {
  for (let tries = 1; ; tries++) {
    const answer = await ask(wanted, signal);
    if (answer.status === 401) return location.reload();
    if (answer.status !== 503 || tries === TRIES) return { ok: answer.ok, ...await answer.json() };
    await new Promise(done => setTimeout(done, 1000 * Number(answer.headers.get("retry-after") || 1)));
  }
}

async function search(keep = true) {
  const wanted = query();
  if (wanted.text === null && wanted.image === "no image") return showError("Type a text, or choose an image.");
  if (wanted.to === "texts" && wanted.image === "no image") return showError("Captions are searched by an image: choose one.");
  if (isComposed && wanted.image === "no image") return showError("A text changes an image: choose one.");
  if (running) running.abort();
  const own = running = new AbortController();
  showError("");
  at("status").textContent = "Searching …";
  document.body.classList.add("busy");
  if (keep && !image) history.pushState(null, "", `#${hashOf(wanted)}`);
  const began = performance.now();
  try {
    const answer = await answerOf(wanted, own.signal);
    if (!answer || own !== running) return;
    if (answer.ok) show(answer, performance.now() - began);
    else fail(answer.error);
  } catch (problem) {
    if (problem.name !== "AbortError") fail("The service does not answer. Try again.");
  } finally {
    if (own === running) document.body.classList.remove("busy");
  }
}

function fail(message) {
  results.replaceChildren();
  at("heading").hidden = true;
  at("status").textContent = "";
  showError(message);
}

function show(answer, milliseconds) {
  results.classList.toggle("captions", answer.of === "texts");
  results.replaceChildren(...answer.results.map(card));
  at("heading").hidden = false;
  const what = answer.of === "texts" ? "captions" : "images";
  const count = `The ${answer.results.length} best of ${answer.gallery.toLocaleString("en")} ${what}`;
  const took = `in ${Math.round(1000 * answer.seconds)} ms (${Math.round(milliseconds)} ms with the network)`;
  at("status").textContent = `${count}${answer.reranked ? ", re-ranked (inductive)" : ""}, ${took}.`;
}

function card(result) {
  const whole = at("result").content.cloneNode(true), part = name => whole.querySelector(name);
  part(".caption").textContent = result.text;
  part(".caption").hidden = !result.text;
  part(".rank").textContent = result.rank;
  part(".score").textContent = result.score.toFixed(4);
  const views = [result.query_view, result.item_view].filter(view => view !== null).map(view => view + 1);
  part(".view").textContent = views.length ? ` · view ${views.join(" / ")}` : "";
  part(".id").textContent = result.split ? `${result.id} · ${result.split}` : result.id;
  if (result.image) {
    const name = encodeURIComponent(result.id);
    part("a").href = `image/${name}`;
    part("img").alt = result.text || result.id;
    part("img").src = `thumbnail/${name}`;
  } else part(".picture").replaceChildren("no picture");
  part("button").setAttribute("aria-label", `More like ${result.id}`);
  part("button").addEventListener("click", () => {
    choose(null, result.id);
    for (const radio of form.querySelectorAll("[name=to]")) radio.checked = radio.value === "images";
    if (text) text.value = "";
    search();
    scrollTo({ top: 0 });
  });
  return whole;
}

function hashOf(wanted) {
  const values = { k: wanted.k, to: wanted.to };
  if (rerank) values.rerank = rerank.checked;
  if (wanted.text !== null) values.text = wanted.text;
  if (item !== null) values.item = item;
  return new URLSearchParams(values);
}

function fromHash() {
  const values = new URLSearchParams(location.hash.slice(1));
  if (!values.has("text") && !values.has("item")) return;
  choose(null, values.get("item"));
  if (text) text.value = values.get("text") || "";
  if (values.has("k")) at("k").value = values.get("k");
  if (!at("k").value) at("k").value = "10";
  if (rerank && values.has("rerank")) rerank.checked = values.get("rerank") === "true";
  for (const radio of form.querySelectorAll("[name=to]")) radio.checked = radio.value === (values.get("to") || "images");
  search(false);
}

form.addEventListener("submit", event => { event.preventDefault(); search(); });
at("remove").addEventListener("click", () => { choose(null, null); (file || text).focus(); });
if (text && !isComposed) text.addEventListener("input", () => { if (image || item !== null) choose(null, null); });
if (file) {
  file.addEventListener("change", () => chooseFile(file.files[0]));
  addEventListener("paste", event => { if (event.clipboardData.files.length) chooseFile(event.clipboardData.files[0]); });
  addEventListener("dragover", event => { event.preventDefault(); document.body.classList.add("over"); });
  addEventListener("dragleave", () => document.body.classList.remove("over"));
  addEventListener("drop", event => {
    event.preventDefault();
    document.body.classList.remove("over");
    chooseFile(event.dataTransfer.files[0]);
  });
}
addEventListener("popstate", fromHash);
fromHash();
