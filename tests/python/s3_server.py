"""Runs a real S3 server (SeaweedFS, from PyPI) on free loopback ports for as long as something needs it.

    s3_server.py COMMAND...   runs the command with SPANLAKE_TEST_S3_* set, then stops the server
    s3_server.py              prints the settings as one JSON line, then serves until standard input closes

The server keeps its data in a temporary directory that goes with it, and is stopped by its process id.
"""

import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
from pathlib import Path

ACCESS_KEY_ID = "spanlake-test"
SECRET_ACCESS_KEY = "spanlake-test-secret"
REGION = "us-east-1"
BUCKET = "spanlake-test"
START_SECONDS = 120
IDENTITIES = {
    "identities": [
        {
            "name": "test",
            "credentials": [{"accessKey": ACCESS_KEY_ID, "secretKey": SECRET_ACCESS_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
    ]
}


def free_ports(count):
    """Ports nobody listens on, all held until the last is known so that they differ. SeaweedFS takes
    port + 10000 for gRPC unless told, so every gRPC port is named too."""
    held = []
    for _ in range(count):
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        held.append(listener)
    ports = [listener.getsockname()[1] for listener in held]
    for listener in held:
        listener.close()
    return ports


def start(directory):
    """Starts the server and returns (process, endpoint)."""
    names = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"]
    names += ["s3.port", "s3.port.grpc"]
    ports = dict(zip(names, free_ports(len(names))))
    identities = directory / "s3.json"
    identities.write_text(json.dumps(IDENTITIES))
    data = directory / "data"
    data.mkdir()
    weed = Path(sysconfig.get_path("scripts")) / "weed"
    arguments = [weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}", "-filer", "-s3"]
    arguments += [f"-{name}={port}" for name, port in ports.items()]
    arguments += ["-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={identities}"]
    arguments += ["-volume.max=40", "-master.volumeSizeLimitMB=256"]
    log = open(directory / "log", "wb")
    server = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory)
    return server, f"http://127.0.0.1:{ports['s3.port']}"


def put(endpoint, path, body=b""):
    """One signed PUT."""
    signed_request("PUT", endpoint, path, body)


def signed_request(method, endpoint, path, body=b""):
    """One request signed as AWS Signature Version 4 asks, with only the headers that it needs; returns the answer's body."""
    host = endpoint.removeprefix("http://")
    now = time.gmtime()
    stamp, day = time.strftime("%Y%m%dT%H%M%SZ", now), time.strftime("%Y%m%d", now)
    digest = hashlib.sha256(body).hexdigest()
    signed = "host;x-amz-content-sha256;x-amz-date"
    canonical = f"{method}\n{path}\n\nhost:{host}\nx-amz-content-sha256:{digest}\nx-amz-date:{stamp}\n\n{signed}\n{digest}"
    scope = f"{day}/{REGION}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = ("AWS4" + SECRET_ACCESS_KEY).encode()
    for part in (day, REGION, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    credential = f"{ACCESS_KEY_ID}/{scope}"
    headers = {
        "x-amz-date": stamp,
        "x-amz-content-sha256": digest,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={credential},SignedHeaders={signed},Signature={signature}",
    }
    data = body if method == "PUT" else None
    request = urllib.request.Request(endpoint + path, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


def wait_until_it_stores(server, endpoint, directory):
    """Creates the bucket and one object, which needs every part of the server; its parts come up one by one."""
    deadline = time.monotonic() + START_SECONDS
    problem = None
    while time.monotonic() < deadline and server.poll() is None:
        try:
            put(endpoint, f"/{BUCKET}")
            put(endpoint, f"/{BUCKET}/ready", b"ready")
            return
        except OSError as error:
            problem = error
            time.sleep(0.2)
    stop(server)
    tail = (directory / "log").read_text(errors="replace")[-4000:]
    sys.exit(f"the S3 server did not store an object within {START_SECONDS} s ({problem}); its log ends with:\n{tail}")


def stop(server):
    """Ends the server by its process id, politely first."""
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(timeout=5)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def main():
    command = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="spanlake-s3-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        server, endpoint = start(directory)
        # A test run that is told to stop must not leave the server behind.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            wait_until_it_stores(server, endpoint, directory)
            settings = {
                "SPANLAKE_TEST_S3_ENDPOINT": endpoint,
                "SPANLAKE_TEST_S3_BUCKET": BUCKET,
                "SPANLAKE_TEST_S3_REGION": REGION,
                "SPANLAKE_TEST_S3_ACCESS_KEY": ACCESS_KEY_ID,
                "SPANLAKE_TEST_S3_SECRET_KEY": SECRET_ACCESS_KEY,
            }
            if command:
                return subprocess.call(command, env={**os.environ, **settings})
            print(json.dumps(settings), flush=True)
            sys.stdin.read()
            return 0
        finally:
            stop(server)


if __name__ == "__main__":
    sys.exit(main())
