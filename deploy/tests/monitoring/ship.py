"""ship.py FLUENT_BIT CONFIG_DIR WORK: a real Fluent Bit reads what containerd would have written and ships it.

Loki and the API server are played by this program; the configuration is the one that is deployed, but for
their addresses. Then Loki is away while lines are written, and nothing may be lost or sent twice.
"""
import gzip
import http.server
import json
import os
import pathlib
import socketserver
import subprocess
import sys
import threading
import time

BINARY, CONFIG, WORK = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3], "ship").resolve()
LOGS = WORK / "containers"
ID = "0" * 64
POD = "etl-orders-29401-abcde"
SHIPPED, AWAY = [], threading.Event()


class Server(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = gzip.decompress(self.rfile.read(int(self.headers["content-length"])))
        if AWAY.is_set():
            return self.answer(503)
        for stream in json.loads(body)["streams"]:
            SHIPPED.extend((stream["stream"], line, meta) for _, line, meta in stream["values"])
        self.answer(204)

    def do_GET(self):
        if POD not in self.path:
            return self.answer(404)
        labels = {"app.kubernetes.io/name": "etl-job", "batch.kubernetes.io/controller-uid": "x"}
        pod = {"kind": "Pod", "metadata": {"name": POD, "namespace": "etl-poc", "uid": "u", "labels": labels}, "spec": {}}
        self.answer(200, json.dumps(pod).encode())


def write(pod, namespace, container, *lines):
    with open(LOGS / f"{pod}_{namespace}_{container}-{ID}.log", "a") as file:
        file.writelines(f"2026-01-01T00:00:00.000000000Z {line}\n" for line in lines)


def said(**fields):
    return json.dumps({"pipeline": "orders", "stream": "public.orders", "run": "0198-aa", **fields})


def wait_for(what, condition):
    end = time.monotonic() + 40
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"{what}: not within 40 s; shipped so far: {SHIPPED}")
        time.sleep(0.2)


def start(port):
    text = (CONFIG / "fluent-bit.yaml").read_text()
    changes = {
        "kube_tag_prefix: kube.var.log.containers.":
            f"kube_url: http://127.0.0.1:{port}\n      kube_tag_prefix: kube{str(LOGS).replace('/', '.')}.",
        "port: 3100": f"port: {port}", "http_port: 2020": "http_port: 0", "http_server: on": "http_server: off",
        "health_check: on": "health_check: off", "scheduler.cap: 60": "scheduler.cap: 2", "scheduler.base: 5": "scheduler.base: 1",
    }
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (WORK / "fluent-bit.yaml").write_text(text)
    (WORK / "shape.lua").write_text((CONFIG / "shape.lua").read_text())
    environment = os.environ | {"LOG_DIR": str(LOGS), "BUFFER_DIR": str(WORK), "LOKI_HOST": "127.0.0.1", "NODE_NAME": "n1"}
    return subprocess.Popen([BINARY, "--config", "fluent-bit.yaml"], cwd=WORK, env=environment,
                            stdout=open(WORK / "said", "a"), stderr=subprocess.STDOUT)


def shipped(text):
    return [one for one in SHIPPED if text in one[1]]


def expect(text, labels, meta):
    found = shipped(text)
    assert len(found) == 1, f"{text}: shipped {len(found)} times"
    assert found[0][0] == labels, f"{text}: labels {found[0][0]}"
    assert found[0][2] == meta, f"{text}: structured metadata {found[0][2]}"


def main():
    LOGS.mkdir(parents=True)
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Server)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    long = said(level="ERROR", message="long " + "x" * 20_000)
    write(POD, "etl-poc", "etl-job", "stderr F " + said(level="INFO", message="first"),
          "stderr P " + long[:16384], "stderr F " + long[16384:], "stdout F " + said(outcome="success"), "stderr F no json")
    write("mssql-0", "etl-poc", "mssql", "stdout F Error: 18456, Severity: 14, State: 8.")
    write("coredns-1", "kube-system", "coredns", "stdout F other people's line")
    write("fluent-bit-x1", "logging", "fluent-bit", "stderr F its own line")
    process = start(port)
    try:
        wait_for("the first lines", lambda: len(SHIPPED) >= 5)
        ours = {"namespace": "etl-poc", "app": "etl-job", "container": "etl-job"}
        run = {"pod": POD, "node": "n1", "pipeline": "orders", "stream": "public.orders", "run": "0198-aa"}
        expect('"first"', ours | {"level": "info"}, run)
        expect("long xxx", ours | {"level": "error"}, run)
        expect('"outcome"', ours | {"level": "info"}, run)
        expect("no json", ours | {"level": "unknown"}, {"pod": POD, "node": "n1"})
        # The API server does not know this pod: its file's name says enough.
        expect("Error: 18456", {"namespace": "etl-poc", "app": "mssql", "container": "mssql", "level": "unknown"},
               {"pod": "mssql-0", "node": "n1"})
        assert shipped("long xxx")[0][1] == long, "a line that containerd cut was not joined as it was"
        AWAY.set()
        write(POD, "etl-poc", "etl-job", "stderr F " + said(level="WARN", message="meanwhile"))
        time.sleep(3)
        process.terminate()
        process.wait(30)
        process = start(port)
        AWAY.clear()
        wait_for("a line written while Loki was away, over a restart", lambda: shipped("meanwhile"))
        time.sleep(2)
        expect('"meanwhile"', ours | {"level": "warn"}, run)
        assert len(SHIPPED) == 6, SHIPPED
        print("6 lines, each once")
    finally:
        process.kill()


main()
