"""Opens a page in headless Chromium by its DevTools protocol and says what is wrong with it; see page.sh."""

import argparse
import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

import websocket

WIDTHS = {390: True, 1280: False}  # whether it is a phone
SCHEMES = ("light", "dark")

# In the page: what reaches out of the window, and what is drawn badly. A phone widens its window to what it is
# given, so the width is told.
LOOK = """(width => {
  const faults = [];
  const shown = element => { const r = element.getBoundingClientRect(); return r.width > 0 && r.height > 0; };
  const short = element => JSON.stringify(element.textContent.trim().slice(0, 40));
  const wide = document.documentElement.scrollWidth;
  if (wide > width) faults.push(`scrolls sideways: ${wide} pixels in a window of ${width}`);
  for (const element of document.body.querySelectorAll('*')) {
    if (element.closest('svg, thead') || !shown(element)) continue;
    const right = element.getBoundingClientRect().right;
    if (right > width + 1) faults.push(`<${element.localName}> ${short(element)} ends at ${Math.round(right)} pixels`);
  }
  for (const svg of document.querySelectorAll('svg')) {
    if (!shown(svg)) continue;
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll('text')].map(text => [text, text.getBoundingClientRect()]);
    for (const [text, r] of texts)
      if (r.left < frame.left || r.right > frame.right || r.top < frame.top || r.bottom > frame.bottom) faults.push(`${short(text)} is cut off`);
    texts.forEach(([a, p], i) => texts.slice(i + 1).forEach(([b, q]) => {
      const across = Math.min(p.right, q.right) - Math.max(p.left, q.left), down = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
      if (across > 1 && down > 4) faults.push(`${short(a)} and ${short(b)} lie over each other`);
    }));
    const boxes = [...svg.querySelectorAll('rect.box, rect.note')].map(box => box.getBoundingClientRect());
    for (const [text, r] of texts) {
      const x = (r.left + r.right) / 2, y = (r.top + r.bottom) / 2;
      for (const box of boxes)
        if (x > box.left && x < box.right && y > box.top && y < box.bottom && (r.left < box.left || r.right > box.right))
          faults.push(`${short(text)} is wider than its box`);
    }
    // A number that sits on its line covers it.
    const free = texts.filter(([text]) => !text.classList.contains('n'));
    for (const line of svg.querySelectorAll('path.flow')) {
      const crossed = new Set(), toScreen = line.getScreenCTM();
      for (let at = 0; at <= line.getTotalLength(); at += 2) {
        const p = line.getPointAtLength(at).matrixTransform(toScreen);
        for (const [text, r] of free)
          if (p.x > r.left && p.x < r.right && p.y > r.top + 3 && p.y < r.bottom - 3) crossed.add(text);
        for (const box of svg.querySelectorAll('rect.box')) {
          const b = box.getBoundingClientRect();
          if (p.x > b.left + 3 && p.x < b.right - 3 && p.y > b.top + 3 && p.y < b.bottom - 3) crossed.add(box);
        }
      }
      for (const what of crossed) faults.push(`a line runs through ${what.localName === 'rect' ? 'a box at ' + what.getAttribute('x') + ' ' + what.getAttribute('y') : short(what)}`);
    }
  }
  return faults;
})(%d)"""

# Each must be found: what is said of it, and what is put before </main>.
PLANTED = {
    "scrolls sideways": '<div style="width:600px">wide</div>',
    "asks for": '<img alt="" src="https://example.invalid/picture.png">',
    "asks for ": '<style>@import url("https://example.invalid/font.css");</style>',
    "is cut off": '<svg viewBox="0 0 100 20"><text x="90" y="15">longer than its drawing</text></svg>',
    "lie over each other": '<svg viewBox="0 0 300 40"><text x="10" y="20">one</text><text x="14" y="22">two</text></svg>',
    "is wider than its box": '<svg viewBox="0 0 300 40"><rect class="box" x="100" y="5" width="40" height="30"/><text text-anchor="middle" x="120" y="22">wider than that</text></svg>',
    "a line runs through": '<svg viewBox="0 0 300 40"><text x="10" y="24">crossed</text><path class="flow rows" d="M0 20 L300 20"/></svg>',
}


class Browser:
    """A Chromium with one tab."""

    def __enter__(self):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.process = subprocess.Popen(
            [os.environ["CHROMIUM"], "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--hide-scrollbars", "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--disable-dev-shm-usage", "--remote-debugging-port=0", "--remote-allow-origins=*",
             f"--user-data-dir={self.profile.name}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = self.port()
        tabs = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=30))
        tab = next(tab for tab in tabs if tab["type"] == "page")
        self.socket = websocket.create_connection(tab["webSocketDebuggerUrl"], timeout=60)
        self.calls, self.events = 0, []
        for domain in ("Page", "Network", "Runtime"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.profile.cleanup()

    def port(self):
        file = pathlib.Path(self.profile.name, "DevToolsActivePort")
        for _ in range(600):
            if file.exists() and file.read_text().count("\n"):
                return int(file.read_text().split()[0])
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        sys.exit(f"{os.environ['CHROMIUM']} did not start")

    def call(self, method, **params):
        self.calls += 1
        self.socket.send(json.dumps({"id": self.calls, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.calls:
                if "error" in message:
                    sys.exit(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def look(self, page, width, scheme, picture=None):
        """What is wrong with the page."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=WIDTHS[width])
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        address = page.resolve().as_uri()
        self.call("Page.navigate", url=address)
        loaded = False
        while not loaded:
            loaded = any(event["method"] == "Page.loadEventFired" for event in self.events)
            self.call("Runtime.evaluate", expression="1")
            time.sleep(0.05)
        time.sleep(0.2)
        answer = self.call("Runtime.evaluate", expression=LOOK % width, returnByValue=True)
        if "exceptionDetails" in answer:
            sys.exit(f"looking at the page: {answer['exceptionDetails']}")
        faults = answer["result"]["value"]
        asked = [event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
        faults += [f"asks for {url}" for url in asked if url != address and not url.startswith("data:")]
        if picture:
            shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
            picture.write_bytes(base64.b64decode(shot["data"]))
        return faults


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("--pictures", type=pathlib.Path)
    args = parser.parse_args()
    failed = 0
    if args.pictures:
        args.pictures.mkdir(parents=True, exist_ok=True)
    with Browser() as browser:
        for width in WIDTHS:
            for scheme in SCHEMES:
                picture = args.pictures and args.pictures / f"{args.page.stem}-{width}-{scheme}.png"
                faults = browser.look(args.page, width, scheme, picture)
                print(f"{'FAIL' if faults else 'ok  '} {args.page.name}, {width} pixels, {scheme}")
                for fault in faults:
                    print(f"     {fault}")
                failed += len(faults)
        with tempfile.TemporaryDirectory() as directory:
            for what, planted in PLANTED.items():
                copy = pathlib.Path(directory, "planted.html")
                copy.write_text(args.page.read_text().replace("</main>", planted + "</main>"))
                found = any(what.strip() in fault for fault in browser.look(copy, 390, "light"))
                print(f"{'ok  ' if found else 'FAIL'} found when planted: {what.strip()}")
                failed += not found
    sys.exit(1 if failed else 0)


main()
