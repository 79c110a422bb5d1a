// What makes the pages quicker to use: keys, passkeys, and what has changed meanwhile.
// Without it everything can still be read, and answered with a code.
"use strict";

(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const REFRESH = 4000; // milliseconds

  // --- what has changed ---------------------------------------------------------------------

  async function refresh() {
    if (document.hidden || !$("[data-live]")) return;
    let response;
    try {
      response = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
    } catch {
      return; // the daemon is away; the next look may find it
    }
    if (!response.ok) return;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    const focused = document.activeElement && document.activeElement.id;
    for (const old of all("[data-live]")) {
      const now = fresh.getElementById(old.id);
      if (now && !now.isEqualNode(old)) old.replaceWith(document.adoptNode(now));
    }
    document.title = fresh.title;
    const count = $("nav", fresh);
    if (count && !count.isEqualNode($("nav"))) $("nav").replaceWith(document.adoptNode(count));
    if (focused && document.getElementById(focused)) document.getElementById(focused).focus();
    const answer = $("#answer");
    if (answer && !$("#answer", fresh)) answer.remove(); // somebody else was quicker
  }
  if ($("[data-live]")) {
    setInterval(refresh, REFRESH);
    document.addEventListener("visibilitychange", refresh);
  }

  // --- passkeys -----------------------------------------------------------------------------

  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const described = (list) => (list || []).map((one) => ({ ...one, id: bytes(one.id) }));

  async function asserted(question) {
    const options = JSON.parse(question);
    const found = await navigator.credentials.get({
      publicKey: {
        ...options,
        challenge: bytes(options.challenge),
        allowCredentials: described(options.allowCredentials),
      },
    });
    return JSON.stringify({
      id: found.id,
      rawId: text(found.rawId),
      type: found.type,
      response: {
        clientDataJSON: text(found.response.clientDataJSON),
        authenticatorData: text(found.response.authenticatorData),
        signature: text(found.response.signature),
        userHandle: found.response.userHandle ? text(found.response.userHandle) : null,
      },
    });
  }

  async function created(question) {
    const options = JSON.parse(question);
    const made = await navigator.credentials.create({
      publicKey: {
        ...options,
        challenge: bytes(options.challenge),
        user: { ...options.user, id: bytes(options.user.id) },
        excludeCredentials: described(options.excludeCredentials),
      },
    });
    return JSON.stringify({
      id: made.id,
      rawId: text(made.rawId),
      type: made.type,
      response: {
        clientDataJSON: text(made.response.clientDataJSON),
        attestationObject: text(made.response.attestationObject),
      },
    });
  }

  function tell(form, message) {
    const old = $("[data-told]", form);
    if (old) old.remove();
    const notice = document.createElement("p");
    notice.className = "notice bad";
    notice.setAttribute("role", "alert");
    notice.dataset.told = "";
    notice.textContent = message;
    form.append(notice);
  }

  async function attempt(form, button, act) {
    button.disabled = true;
    try {
      await act();
    } catch (error) {
      tell(form, error.name === "NotAllowedError" ? "The passkey was not used." : error.message);
    } finally {
      button.disabled = false;
    }
  }

  function send(form, verdict) {
    if (verdict) {
      const field = document.createElement("input");
      field.type = "hidden";
      field.name = "verdict";
      field.value = verdict;
      form.append(field);
    }
    form.submit();
  }

  if (window.PublicKeyCredential) {
    for (const button of all("[data-with-passkey]")) {
      const form = button.form;
      button.hidden = false;
      button.addEventListener("click", () =>
        attempt(form, button, async () => {
          $("[data-passkey]", form).value = await asserted(form.dataset.question);
          send(form, form.hasAttribute("data-answer") ? "approve" : "");
        }));
    }
    // Where nobody has signed in, a denial takes a proof as well.
    for (const button of all("[data-deny-proof][data-question] [data-deny]")) {
      const form = button.form;
      button.addEventListener("click", (event) => {
        const code = $("[data-code]", form);
        if (code && code.value) return;
        event.preventDefault();
        attempt(form, button, async () => {
          $("[data-passkey]", form).value = await asserted(form.dataset.question);
          send(form, "deny");
        });
      });
    }
    for (const button of all("[data-create]")) {
      const form = button.form;
      button.hidden = false;
      button.addEventListener("click", () =>
        attempt(form, button, async () => {
          const code = $("[data-code]", form);
          if (form.dataset.question && !(code && code.value)) {
            $("[data-passkey]", form).value = await asserted(form.dataset.question);
          }
          $("[data-created]", form).value = await created(form.dataset.newPasskey);
          send(form, "");
        }));
    }
  }

  // --- keys ---------------------------------------------------------------------------------

  function move(step) {
    const cards = all("[data-queue] .card");
    const at = cards.indexOf(document.activeElement);
    const next = cards[at < 0 ? (step > 0 ? 0 : cards.length - 1) : at + step];
    if (next) next.focus();
  }

  const follow = (selector) => { const link = $(selector); if (link) location.assign(link.href); };

  const KEYS = {
    j: () => ($("[data-queue]") ? move(1) : follow("[data-next]")),
    k: () => ($("[data-queue]") ? move(-1) : follow("[data-previous]")),
    a: () => {
      const code = $("[data-answer] [data-code]");
      const passkey = $("[data-answer] [data-with-passkey]:not([hidden])");
      const button = $("[data-approve]");
      (code || passkey || button || { focus() {} }).focus();
    },
    d: () => { const reason = $("[data-reason]"); if (reason) reason.focus(); },
    u: () => follow("[data-back]"),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target;
    if (target.matches("input, textarea, select")) {
      if (event.key === "Escape") target.blur();
      return;
    }
    const act = KEYS[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  });
})();
