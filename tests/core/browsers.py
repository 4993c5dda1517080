"""A page in headless Chromium, with every request of the browser answered, and taken note of, here.

The browser is told that this is its proxy, for this machine too, so that no request can pass it by. A second page, the harness,
holds the page in frames of chosen widths, looks at it, and writes what it finds into itself.
"""

import contextlib
import json
import re
import shutil
import subprocess
import tempfile
import threading
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import attrs

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SITE = "http://report.test"
PATIENCE = 120
VENDOR = re.compile(r"(https?://)?[\w.-]+\.(google|googleapis|gvt1|gstatic)\.com[:/]")
"""What the browser asks for of itself: for updates and the time."""
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--disable-default-apps", "--no-first-run", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *(
        "--disable-features=OptimizationHints,MediaRouter,Translate,DialMediaRouteProvider",
        "--disable-client-side-phishing-detection",
    ),
    *("--enable-logging=stderr", "--v=0", "--proxy-bypass-list=<-loopback>", "--virtual-time-budget=20000", "--timeout=60000"),
)
LOOK = """
const looks = {
  images: (page) => [...page.images].map((image) => {
    const box = image.getBoundingClientRect();
    return { alt: image.alt, pixels: image.naturalWidth * image.naturalHeight, area: box.width * box.height };
  }),
  overflow: (page) => page.documentElement.scrollWidth - page.documentElement.clientWidth,
  scrolls: (page) => [...page.querySelectorAll(".scroll")].map((box) => box.scrollWidth - box.clientWidth),
  twice: (page) => {
    const ids = [...page.querySelectorAll("[id]")].map((each) => each.id);
    return ids.filter((id, place) => ids.indexOf(id) !== place);
  },
  fetched: (page) => page.defaultView.performance.getEntriesByType("resource").map((entry) => entry.name),
  buttons: (page) => page.querySelectorAll("th button").length,
  tables: (page) => [...page.querySelectorAll("table")].map((table) => table.closest(".scroll").getAttribute("aria-label")),
  folded: (page) => page.querySelectorAll("details:not([open])").length,
  faint: (page) => {
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
      .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
    const style = (each) => page.defaultView.getComputedStyle(each);
    const behind = (each) => {
      for (; each; each = each.parentElement) {
        const colour = parse(style(each).backgroundColor);
        if (colour.length < 4 || colour[3] > 0) return colour;
      }
      return [255, 255, 255];
    };
    const own = (each) => [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const ratio = (one, other) => (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    return [...page.body.querySelectorAll("*:not(script)")].filter(own)
      .filter((each) => ratio(light(parse(style(each).color)), light(behind(each))) < 4.5)
      .map((each) => each.outerHTML.slice(0, 80));
  },
  paper: (page) => page.defaultView.getComputedStyle(page.body).backgroundColor,
  sorted: (page) => [...page.querySelectorAll("table")].filter((table) => table.querySelector("th button")).map((table) => ({
    label: table.closest(".scroll").getAttribute("aria-label"),
    columns: [...table.tHead.rows[0].cells].map((head, column) => {
      const button = head.querySelector("button");
      for (const folded of page.querySelectorAll("details")) folded.open = true;
      button.focus();
      const seen = { name: head.textContent.trim(), focus: page.activeElement === button, orders: [] };
      for (let press = 0; press < 2; press += 1) {
        button.click();
        const marked = [...table.tHead.rows[0].cells].map((other) => other.getAttribute("aria-sort"));
        const cells = [...table.tBodies[0].rows].map((row) => row.cells[column]);
        const texts = cells.map((cell) => cell.textContent.trim());
        seen.orders.push({ marked, texts, values: cells.map((cell) => cell.dataset.value ?? null) });
      }
      return seen;
    }),
  })),
};
addEventListener("load", () => {
  const found = {};
  for (const frame of document.querySelectorAll("iframe")) {
    found[frame.id] = {};
    for (const [name, look] of Object.entries(looks)) found[frame.id][name] = look(frame.contentDocument);
  }
  const out = document.createElement("pre");
  out.id = "found";
  out.textContent = JSON.stringify(found);
  document.body.append(out);
});
"""


@attrs.frozen
class Seen:
    """What the browser made of a page: by frame what the harness found, what the console said, and what was asked for."""

    frames: dict
    console: list
    requests: list


def browser():
    """The path of a Chromium, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def looked_at(text, widths, scripts=True, dark=False):
    """Look at the page ``text`` in a frame of each of the ``widths``, which are the frames' names too."""
    rights = "" if scripts else ' sandbox="allow-same-origin"'
    frames = "".join(
        f'<iframe id="{width}" width="{width}" height="900" src="/page.html"{rights}></iframe>' for width in widths
    )
    harness = f"<!DOCTYPE html><link rel=icon href='data:,'><body>{frames}<script>{LOOK}</script>"
    with _site({"/harness.html": harness, "/page.html": text}) as (address, requests):
        done = _started(
            address, "--dump-dom", f"--blink-settings=preferredColorScheme={0 if dark else 1}", f"{SITE}/harness.html"
        )
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, f"the harness has found nothing:\n{done.stdout[:500]}\n{done.stderr[-2000:]}"
    return Seen(json.loads(unescape(found[1])), _console(done.stderr), [each for each in requests if not VENDOR.match(each)])


def printed(text, path):
    """Print the page to a PDF."""
    with _site({"/page.html": text}) as (address, _):
        _started(address, f"--print-to-pdf={path}", "--no-pdf-header-footer", f"{SITE}/page.html")


def _started(proxy, *words):
    with tempfile.TemporaryDirectory(prefix="wn-browser-", ignore_cleanup_errors=True) as profile:
        command = [browser(), *FLAGS, f"--proxy-server={proxy}", f"--user-data-dir={profile}", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)


def _console(text):
    """What pages have said, but for what the browser says of frames that the harness forbids scripts."""
    lines = [line for line in text.splitlines() if "CONSOLE" in line]
    return [line for line in lines if "Blocked script execution" not in line]


@contextlib.contextmanager
def _site(pages):
    """A server of these pages and no others, as a proxy: its address, and a list of what it is asked for."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            content = pages.get(self.path.removeprefix(SITE))
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write((content or "").encode())

        def do_CONNECT(self):
            requests.append(self.path)
            self.send_error(403)

        def do_POST(self):
            self.do_CONNECT()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
