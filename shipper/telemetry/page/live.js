"use strict";
// Asks for this same page again and again and takes over what differs. The server escapes; here nothing becomes markup
// that it did not send, and scripts in a parsed document do not run.
(() => {
  const every = 5000;
  const button = document.getElementById("pause");
  const stale = document.getElementById("stale");
  let paused = false, timer = 0, asking = null, since = new Date();

  function take(old, now) {
    if (old.nodeType !== now.nodeType || old.nodeName !== now.nodeName) { old.replaceWith(now); return; }
    if (old.nodeType === Node.TEXT_NODE) { if (old.data !== now.data) old.data = now.data; return; }
    if (old.nodeType !== Node.ELEMENT_NODE) return;
    for (const { name } of [...old.attributes]) if (!now.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    for (const { name, value } of now.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    const have = [...old.childNodes], want = [...now.childNodes];
    want.forEach((child, at) => (at < have.length ? take(have[at], child) : old.append(child)));
    have.slice(want.length).forEach((child) => child.remove());
  }

  async function ask() {
    clearTimeout(timer);
    if (paused || document.hidden) return;
    if (asking) asking.abort();
    const mine = (asking = new AbortController());
    const limit = setTimeout(() => mine.abort(), 10000);
    const began = performance.now();
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: mine.signal });
      if (!answer.ok) throw new Error(answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (paused) return;
      for (const id of ["facts", "as-of"]) take(document.getElementById(id), page.getElementById(id));
      document.title = page.title;
      since = new Date();
      if (stale.textContent) stale.textContent = "";
    } catch (error) {
      if (asking !== mine) return;
      stale.textContent = `shipper does not answer since ${since.toLocaleTimeString()}: what is shown below is old.`;
    } finally {
      clearTimeout(limit);
      if (asking === mine) {
        asking = null;
        timer = setTimeout(ask, Math.max(every, 10 * (performance.now() - began)));
      }
    }
  }

  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", paused);
    button.textContent = paused ? "Go on" : "Pause";
    if (!paused) ask();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
  document.addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = new URLSearchParams(new FormData(event.target));
    for (const [name, value] of [...wanted]) if (!value) wanted.delete(name);
    history.replaceState(null, "", wanted.size ? `?${wanted}` : location.pathname);
    ask();
  });
  timer = setTimeout(ask, every);
})();
