// What a browser alone can do: take files, walk folders, send them one by one, and the keys of the contact sheet.
// Everything that is shown comes from the server.
"use strict";

(() => {
  const AT_ONCE = 3; // files on their way at the same time
  const TRIES = 4; // for each of them
  const HIDDEN = /(^|\/)(\.|__MACOSX\/|Thumbs\.db$|desktop\.ini$)/;

  const find = (id) => document.getElementById(id);
  let sending = null; // the address of the dataset whose files are being sent

  function notice(text) {
    const box = document.createElement("div");
    box.className = "problem";
    box.setAttribute("role", "alert");
    box.textContent = text;
    find("notice").replaceChildren(box);
  }

  // ---- what was dropped, as files with the path that each has in its folder ----

  function readAll(reader) {
    return new Promise((resolve, reject) => {
      const found = [];
      const next = () =>
        reader.readEntries((some) => {
          if (!some.length) return resolve(found);
          found.push(...some); // a browser gives a hundred at a time
          next();
        }, reject);
      next();
    });
  }

  async function walk(entry, path, files) {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      files.push({ name: path + entry.name, file });
    } else {
      for (const inner of await readAll(entry.createReader())) {
        await walk(inner, path + entry.name + "/", files);
      }
    }
  }

  async function dropped(transfer) {
    const items = [...transfer.items].filter((item) => item.kind === "file");
    const entries = items.map((item) => item.webkitGetAsEntry()).filter(Boolean);
    const files = entries.length ? [] : chosen(transfer.files);
    for (const entry of entries) await walk(entry, "", files);
    return files;
  }

  function chosen(list) {
    return [...list].map((file) => ({ name: file.webkitRelativePath || file.name, file }));
  }

  // A folder that holds everything gives the dataset its name, and is no part of the files' names.
  function dataset(files) {
    const kept = files.filter((each) => !HIDDEN.test(each.name));
    if (kept.length === 1) return { name: kept[0].name, files: kept };
    const tops = new Set(kept.map((each) => each.name.split("/")[0]));
    const nested = kept.every((each) => each.name.includes("/"));
    if (tops.size !== 1 || !nested) return { name: "photos", files: kept };
    const [top] = tops;
    return {
      name: top,
      files: kept.map((each) => ({ name: each.name.slice(top.length + 1), file: each.file })),
    };
  }

  // ---- sending ----

  async function ask(method, address, body) {
    const answer = await fetch(address, { method, body, headers: { Accept: "application/json" } });
    if (answer.ok) return answer.json();
    throw new Error(words(await answer.text()));
  }

  // The server's errors come as a piece of the page.
  function words(html) {
    const said = new DOMParser().parseFromString(html, "text/html").getElementById("said");
    return said ? said.textContent.trim().replace(/\s+/g, " ") : "The server did not take it.";
  }

  function put(address, file, progress) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest(); // fetch does not say how much is sent
      request.open("PUT", address);
      request.setRequestHeader("Accept", "application/json");
      request.upload.onprogress = (event) => progress(event.loaded);
      request.onload = () => {
        if (request.status < 300) resolve();
        else reject(Object.assign(new Error(words(request.responseText)), { final: request.status < 500 }));
      };
      request.onerror = () => reject(new Error("lora-drop on this machine does not answer. Is it still running?"));
      request.send(file);
    });
  }

  async function sendOne(address, each, progress) {
    const to = `${address}/files?name=${encodeURIComponent(each.name)}`;
    for (let trial = 1; ; trial += 1) {
      try {
        return await put(to, each.file, progress);
      } catch (error) {
        if (error.final || trial === TRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** trial));
      }
    }
  }

  function shown(sent, size, left, count) {
    const mb = (bytes) => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);
    find("upload").hidden = false;
    find("upload-words").textContent = `Copying ${count - left} of ${count} files, ${mb(sent)} of ${mb(size)} MB`;
    find("upload-bar").max = size || 1;
    find("upload-bar").value = sent;
  }

  async function sendAll(address, files) {
    const size = files.reduce((sum, each) => sum + each.file.size, 0);
    const sent = new Map();
    const queue = [...files].sort((one, other) => one.name.localeCompare(other.name, "en", { numeric: true }));
    const refused = [];
    let left = files.length;
    const total = () => [...sent.values()].reduce((sum, bytes) => sum + bytes, 0);
    async function worker() {
      for (let each = queue.shift(); each; each = queue.shift()) {
        const it = each;
        try {
          await sendOne(address, it, (bytes) => {
            sent.set(it, Math.min(bytes, it.file.size));
            shown(total(), size, left, files.length);
          });
        } catch (error) {
          if (!error.final) throw error;
          refused.push(`${it.name}: ${error.message}`);
        }
        left -= 1;
        sent.set(it, it.file.size);
        shown(total(), size, left, files.length);
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    return refused;
  }

  // What is not there yet. Files of another folder go into a folder of its name where theirs is taken: none replaces another.
  function added(files, there, from) {
    const known = new Set(there.map((each) => `${each.size} ${each.name}`));
    const names = new Set(there.map((each) => each.name));
    return files
      .filter((each) => !known.has(`${each.file.size} ${each.name}`))
      .map((each) => (from && names.has(each.name) ? { ...each, name: `${from}/${each.name}` } : each));
  }

  async function show(address) {
    history.pushState(null, "", address);
    await htmx.ajax("GET", address, { target: "#main", select: "#main", swap: "outerHTML" });
  }

  async function take(found) {
    if (sending) return notice("Files are being copied. Wait until they are here.");
    const { name, files } = dataset(found);
    if (!files.length) return notice("There are no files in what was dropped. Drop a folder of photos, or a ZIP.");
    sending = true;
    try {
      const verdict = find("verdict");
      const adds = verdict && verdict.dataset.adds === "yes";
      const address = adds
        ? find("draft").dataset.draft
        : (await ask("POST", "/drafts", new URLSearchParams({ name }))).address;
      const there = adds ? (await ask("GET", `${address}/files`)).files : [];
      const missing = added(files, there, adds && verdict.dataset.name !== name ? name : "");
      document.body.classList.add("copying");
      const [refused] = await Promise.all([sendAll(address, missing), adds || show(address)]);
      sending = null; // from here on a reload does no harm
      await ask("POST", `${address}/finish`);
      if (refused.length) notice(`Not taken: ${refused.join(" ")}`);
    } catch (error) {
      notice(`${error.message} Drop the same again, and it goes on with what is missing.`);
    } finally {
      sending = null;
      find("upload").hidden = true;
      document.body.classList.remove("copying");
    }
  }

  addEventListener("beforeunload", (event) => {
    if (sending) event.preventDefault();
  });
  addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    document.body.classList.add("dragged");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dragged");
  });
  addEventListener("drop", async (event) => {
    document.body.classList.remove("dragged");
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    try {
      take(await dropped(event.dataTransfer));
    } catch (error) {
      notice(`A file cannot be read: ${error.message}`);
    }
  });
  addEventListener("change", (event) => {
    if (!event.target.matches("[data-files]")) return;
    const files = chosen(event.target.files);
    event.target.value = "";
    take(files);
  });
  addEventListener("click", (event) => {
    const choose = event.target.closest("[data-choose]");
    if (choose) find(choose.dataset.choose).click();
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      const text = copy.parentElement.querySelector("pre").textContent;
      navigator.clipboard.writeText(text).then(() => (copy.textContent = "Copied"));
    }
  });

  // ---- the contact sheet's keys, while a button of a photo has the focus ----

  function neighbour(card, key) {
    const cards = [...card.parentElement.children];
    const at = cards.indexOf(card);
    const row = cards.filter((each) => each.offsetTop === card.offsetTop).length || 1;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row }[key];
    return step && cards[at + step];
  }

  addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || !event.target.closest) return;
    const card = event.target.closest("#cards > .photo");
    if (!card) return;
    const button = card.querySelector(".decide button");
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const next = neighbour(card, key);
    if (next) {
      event.preventDefault();
      (next.querySelector(".decide button") || next.querySelector("a")).focus();
      next.scrollIntoView({ block: "nearest" });
    } else if (button && { x: "/reject", k: "/keep" }[key]) {
      event.preventDefault();
      if (new URL(button.form.action).pathname.endsWith({ x: "/reject", k: "/keep" }[key])) button.click();
    } else if (key === "c") {
      card.querySelector(".decide a").click();
    }
  });

  // Two answers may change one card at the same time, and the second finds no focus any more that it could keep.
  let focused = "";
  addEventListener("focusin", (event) => (focused = event.target.id || ""));
  addEventListener("mousedown", () => (focused = ""), true);
  function refocus() {
    const element = document.activeElement === document.body && focused && find(focused);
    if (element) element.focus({ preventScroll: true });
  }
  for (const name of ["htmx:afterSettle", "htmx:oobAfterSwap", "htmx:sseMessage"]) addEventListener(name, refocus);

  // ---- what is being typed stays, whatever comes from the server meanwhile ----

  addEventListener("htmx:oobBeforeSwap", (event) => {
    const old = event.detail.target;
    if (!old) return;
    const typing = document.activeElement && document.activeElement.matches("input, select, textarea");
    if (old.id === "options" && typing && old.contains(document.activeElement)) event.detail.shouldSwap = false;
    for (const details of old.querySelectorAll("details[id][open]")) {
      const again = event.detail.fragment.querySelector(`#${details.id}`);
      if (again) again.open = true;
    }
  });
  // A browser has six connections to one address, and each open sheet or job takes one: those that nobody sees let go.
  const streams = new Set();
  let hiddenAt = null;
  htmx.createEventSource = (url) => {
    const source = new EventSource(url);
    streams.add(source);
    return source;
  };
  function letGo() {
    for (const source of streams) source.close();
    hiddenAt = streams.size ? location.href : null;
    streams.clear();
  }
  addEventListener("visibilitychange", () => {
    if (document.hidden) letGo();
    else if (hiddenAt === location.href) htmx.ajax("GET", location.href, { target: "#main", select: "#main", swap: "outerHTML" });
  });
  addEventListener("htmx:timeout", () => notice("There was no answer in time, so nothing is known of it. Close other tabs of this page, and load it again."));

  // A caption that is left without a button is saved all the same; a browser sends this also while it leaves the page.
  let written = null;
  addEventListener("input", (event) => {
    if (event.target.id === "caption") written = event.target;
  });
  addEventListener("submit", () => (written = null));
  addEventListener("pagehide", () => {
    if (written) navigator.sendBeacon(written.form.action, new URLSearchParams({ caption: written.value }));
  });
  addEventListener("htmx:sendError", () => notice("lora-drop on this machine does not answer. Is it still running?"));
})();
