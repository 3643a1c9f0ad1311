// The page: logging in, where one is, and the view that is shown.

import { get, request, setToken } from "./api.js";
import { h } from "./dom.js";
import { algs } from "./algs.js";
import { audit, events, log } from "./logs.js";
import { config } from "./config.js";
import { overview } from "./overview.js";
import { bindings, calls, pinholes, sessions, subscribers } from "./lists.js";
import { trace } from "./trace.js";

const VIEWS = {
  overview: ["Overview", overview],
  algs: ["ALGs", algs],
  sessions: ["Sessions", sessions],
  calls: ["Calls", calls],
  pinholes: ["Pinholes", pinholes],
  bindings: ["Bindings", bindings],
  subscribers: ["Subscribers", subscribers],
  trace: ["Trace", trace],
  events: ["Events", events],
  log: ["Log", log],
  audit: ["Audit", audit],
  config: ["Configuration", config],
};
const DEVICES_MS = 10000;

const app = document.getElementById("app");
const kept = { me: null, devices: [], device: "", organisation: "", view: "overview", leave: null, timer: 0 };

// Themes

function theme(chosen) {
  if (chosen) localStorage.setItem("theme", chosen);
  const wanted = localStorage.getItem("theme") ?? "auto";
  if (wanted === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = wanted;
  return wanted;
}

// Logging in

function showLogin(why) {
  leave();
  clearTimeout(kept.timer);
  kept.me = null;
  const name = h("input", { id: "name", name: "username", autocomplete: "username", required: true });
  const password = h("input", {
    id: "password", type: "password", autocomplete: "current-password", required: true,
  });
  const said = h("p", { class: "alert", role: "alert", hidden: !why }, why ?? "");
  const button = h("button", { class: "primary", type: "submit" }, "Log in");
  const form = h("form", { class: "login", onsubmit: tryToLogIn },
    h("h1", {}, "p4alg console"),
    said,
    h("label", { for: "name" }, "Name"), name,
    h("label", { for: "password" }, "Password"), password,
    button);
  async function tryToLogIn(event) {
    event.preventDefault();
    button.disabled = true;
    try {
      begin(await request("POST", "login", { name: name.value, password: password.value }));
    } catch (error) {
      said.textContent = error.message;
      said.hidden = false;
      password.value = "";
      password.focus();
    } finally {
      button.disabled = false;
    }
  }
  app.replaceChildren(h("main", { id: "content" }, form));
  name.focus();
}

async function begin(me) {
  kept.me = me;
  setToken(me.csrf);
  try {
    kept.devices = await get("devices");
  } catch (error) {
    showLogin(error.message);
    return;
  }
  frame();
  go();
}

async function logOut() {
  try {
    await request("POST", "logout");
    showLogin();
  } catch (error) {
    showLogin(error.status === 401 ? undefined : error.message);
  }
}

// The frame

function frame() {
  const device = h("select", { id: "device", "aria-label": "Gateway", onchange: () => move({ device: device.value, organisation: "" }) });
  const organisation = h("select", { id: "organisation", "aria-label": "Organisation", onchange: () => move({ organisation: organisation.value }) });
  const look = h("select", { id: "theme", "aria-label": "Colours", onchange: () => theme(look.value) },
    ["auto", "light", "dark"].map((name) => h("option", { value: name }, name)));
  look.value = theme();
  const links = Object.entries(VIEWS).map(([name, [title]]) => h("a", { "data-view": name }, title));
  app.replaceChildren(
    h("header", {},
      h("span", { class: "brand" }, "p4alg"),
      device, organisation,
      h("span", { class: "grow" }),
      look,
      h("span", { class: "who" }, `${kept.me.name} (${kept.me.role})`),
      h("button", { type: "button", onclick: logOut }, "Log out")),
    h("nav", { "aria-label": "Views" }, links),
    h("main", { id: "content", tabindex: "-1" },
      h("p", { id: "alert", class: "alert", role: "alert", hidden: true }),
      h("div", { id: "view" })));
  watchDevices();
}

async function watchDevices() {
  clearTimeout(kept.timer);
  kept.timer = setTimeout(watchDevices, DEVICES_MS);
  if (document.hidden) return;
  try {
    kept.devices = await get("devices");
    options();
  } catch (error) {
    failed(error);
  }
}

function select(id, values, value) {
  const element = document.getElementById(id);
  if (!element) return;
  const now = [...element.options].map((option) => `${option.value}\n${option.text}`).join("\n\n");
  if (now !== values.map(([name, text]) => `${name}\n${text}`).join("\n\n")) {
    element.replaceChildren(...values.map(([name, text]) => h("option", { value: name }, text)));
  }
  element.value = value;
}

function options() {
  select("device", kept.devices.map((one) => [one.name, one.error ? `${one.name} (does not answer)` : one.name]), kept.device);
  const organisations = kept.devices.find((one) => one.name === kept.device)?.organisations ?? [];
  const several = organisations.length > 1;
  select("organisation", several ? [["", "all organisations"], ...organisations.map((name) => [name, name])] : [], kept.organisation);
  const element = document.getElementById("organisation");
  if (element) element.hidden = !several;
}

// Where one is: #/DEVICE/VIEW?organisation

function move(changes) {
  const next = { ...kept, ...changes };
  const whose = next.organisation ? `?${encodeURIComponent(next.organisation)}` : "";
  location.hash = `#/${encodeURIComponent(next.device)}/${next.view}${whose}`;
}

function place() {
  const [path, whose = ""] = location.hash.split("?");
  const [, device = "", view = ""] = path.split("/");
  const known = kept.devices.find((one) => one.name === decodeURIComponent(device));
  kept.device = (known ?? kept.devices[0])?.name ?? "";
  kept.view = view in VIEWS ? view : "overview";
  kept.organisation = decodeURIComponent(whose);
}

function leave() {
  kept.leave?.();
  kept.leave = null;
}

function go() {
  leave();
  place();
  options();
  for (const link of document.querySelectorAll("nav a")) {
    const whose = kept.organisation ? `?${encodeURIComponent(kept.organisation)}` : "";
    link.href = `#/${encodeURIComponent(kept.device)}/${link.dataset.view}${whose}`;
    if (link.dataset.view === kept.view) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "center" });
    } else link.removeAttribute("aria-current");
  }
  const [title, show] = VIEWS[kept.view];
  document.title = `${title} · ${kept.device} · p4alg`;
  const root = document.getElementById("view");
  root.replaceChildren();
  failed(null);
  const ends = new AbortController();
  const context = {
    root,
    me: kept.me,
    devices: kept.devices,
    device: kept.device,
    organisation: kept.organisation,
    several: (kept.devices.find((one) => one.name === kept.device)?.organisations.length ?? 0) > 1,
    signal: ends.signal,
    failed,
    mayChange: kept.me.role === "admin",
    // Do something now and again and again, as long as the view is shown and seen.
    every(milliseconds, work) {
      let timer = 0;
      async function turn() {
        clearTimeout(timer);
        if (!document.hidden) {
          try {
            await work();
            if (!ends.signal.aborted) failed(null);
          } catch (error) {
            if (!ends.signal.aborted) failed(error);
          }
        }
        if (!ends.signal.aborted) timer = setTimeout(turn, milliseconds);
      }
      ends.signal.addEventListener("abort", () => clearTimeout(timer));
      turn();
      return turn;
    },
    // Server-sent events of this device while the view is shown.
    stream(topics, handlers) {
      const query = topics.map((topic) => `topic=${topic}`).join("&");
      const source = new EventSource(`/api/devices/${encodeURIComponent(kept.device)}/stream?${query}`);
      for (const [topic, work] of Object.entries(handlers)) {
        source.addEventListener(topic, (event) => work(JSON.parse(event.data)));
      }
      source.onerror = async () => {
        if (source.readyState !== EventSource.CLOSED) return;
        // Why it was refused is told by an ordinary request only.
        try {
          await get("me");
        } catch (error) {
          failed(error);
        }
      };
      ends.signal.addEventListener("abort", () => source.close());
    },
  };
  kept.leave = () => ends.abort();
  show(context);
}

// One clear message, or none.
function failed(error) {
  if (error?.name === "AbortError") return;
  if (error?.status === 401) {
    showLogin("Your login is over: log in again.");
    return;
  }
  const alert = document.getElementById("alert");
  if (!alert) return;
  const text = error ? error.message : "";
  if (alert.textContent !== text) alert.textContent = text;
  alert.hidden = !text;
}

theme();
addEventListener("hashchange", () => kept.me && go());
get("me").then(begin, (error) => showLogin(error.status === 401 ? undefined : error.message));
