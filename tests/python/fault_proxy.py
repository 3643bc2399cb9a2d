"""Stands between an OTLP client and the server: passes calls on, spoils those the script names, records all.

    fault_proxy.py --http HOST:PORT --grpc HOST:PORT [--script JSON]

Prints {"http": port, "grpc": port}, serves until standard input closes, then prints the recorded calls as a JSON
list: {"at", "status", "upstream", "retry_after", "retry_info", "details"}; `at` in seconds after the first call,
`upstream` null when the server never saw the call. The script is a list with one step for each call; when it is
used up, calls pass untouched:
    {}                                     pass the call on
    {"answer": 503, "retry_after": "1"}    HTTP: answer so, the server sees nothing
    {"answer": "UNAVAILABLE", "retry_info": 1, "details": 1}   gRPC: the same, hints in seconds in either trailer
    {"forward": true, "answer": ...}       pass the call on, but give the client this answer (a lost ack)
"""

import argparse
import http.client
import http.server
import json
import sys
import threading
import time
from concurrent import futures

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
DETAILS = "grpc-status-details-bin"
RETRY_INFO = "google.rpc.retryinfo-bin"


class Record:
    """What was called and answered, and which step of the script is next."""

    def __init__(self, script):
        self.script = script
        self.calls = []
        self.started = None
        self.lock = threading.Lock()

    def begin(self):
        with self.lock:
            now = time.monotonic()
            self.started = self.started or now
            call = {"at": round(now - self.started, 3), "status": None, "upstream": None}
            step = self.script[len(self.calls)] if len(self.calls) < len(self.script) else {}
            self.calls.append(call)
            return call, step


def http_handler(record, upstream):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def body(self):
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def do_POST(self):
            body = self.body()
            call, step = record.begin()
            status, headers, answer = step.get("answer"), {}, b""
            if status is None or step.get("forward"):
                hop = {"host", "connection", "transfer-encoding", "content-length"}
                sent = {name: value for name, value in self.headers.items() if name.lower() not in hop}
                connection = http.client.HTTPConnection(upstream, timeout=30)
                connection.request("POST", self.path, body, sent)
                response = connection.getresponse()
                answer = response.read()
                call["upstream"] = response.status
                headers = {n: v for n, v in response.getheaders() if n.lower() in ("content-type", "retry-after")}
                connection.close()
            if status is None:
                status = call["upstream"]
            else:
                answer, headers = b"", {"Content-Type": self.headers.get("Content-Type", "")}
                if "retry_after" in step:
                    headers["Retry-After"] = step["retry_after"]
            call["status"] = status
            call["retry_after"] = next((v for n, v in headers.items() if n.lower() == "retry-after"), None)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    return Handler


def hints(metadata):
    """The retry hints of a gRPC answer's trailers, in seconds: (bare RetryInfo, RetryInfo within Status details)."""
    found = dict(metadata or ())
    bare = details = None
    if RETRY_INFO in found:
        delay = error_details_pb2.RetryInfo.FromString(found[RETRY_INFO]).retry_delay
        bare = delay.seconds + delay.nanos / 1e9
    if DETAILS in found:
        for detail in status_pb2.Status.FromString(found[DETAILS]).details:
            info = error_details_pb2.RetryInfo()
            if detail.Unpack(info):
                details = info.retry_delay.seconds + info.retry_delay.nanos / 1e9
    return bare, details


def trailers(step):
    """The trailers that carry the step's hints."""
    made = []
    if "retry_info" in step:
        info = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=step["retry_info"]))
        made.append((RETRY_INFO, info.SerializeToString()))
    if "details" in step:
        info = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=step["details"]))
        packed = any_pb2.Any()
        packed.Pack(info)
        status = status_pb2.Status(code=grpc.StatusCode[step["answer"]].value[0], details=[packed])
        made.append((DETAILS, status.SerializeToString()))
    return made


class Export(grpc.GenericRpcHandler):
    """The Export call as bytes in and bytes out, so that this proxy cannot change a message."""

    def __init__(self, record, upstream):
        self.record = record
        limits = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        self.call = grpc.insecure_channel(upstream, options=limits).unary_unary(EXPORT)

    def service(self, details):
        if details.method == EXPORT:
            return grpc.unary_unary_rpc_method_handler(self.export)
        return None

    def export(self, request, context):
        call, step = self.record.begin()
        answer, code, text, metadata = None, None, "", []
        if "answer" not in step or step.get("forward"):
            passed = [(n, v) for n, v in context.invocation_metadata() if n != "user-agent"]
            try:
                answer = self.call(request, metadata=passed, timeout=30)
                call["upstream"] = "OK"
            except grpc.RpcError as error:
                code, text, metadata = error.code(), error.details(), error.trailing_metadata()
                call["upstream"] = code.name
        if "answer" in step:
            code, text, metadata = grpc.StatusCode[step["answer"]], "scripted", trailers(step)
        call["status"] = code.name if code else "OK"
        call["retry_info"], call["details"] = hints(metadata)
        if code is None:
            return answer
        context.set_trailing_metadata([(n, v) for n, v in metadata if n in (DETAILS, RETRY_INFO)])
        context.abort(code, text)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--http", required=True)
    parser.add_argument("--grpc", required=True)
    parser.add_argument("--script", default="[]", type=json.loads)
    options = parser.parse_args()

    record = Record(options.script)
    over_http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http_handler(record, options.http))
    over_http.daemon_threads = True
    threading.Thread(target=over_http.serve_forever, daemon=True).start()
    # A second server must not be able to share the port of another test's proxy.
    limits = [("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)]
    over_grpc = grpc.server(futures.ThreadPoolExecutor(8), options=limits)
    over_grpc.add_generic_rpc_handlers([Export(record, options.grpc)])
    port = over_grpc.add_insecure_port("127.0.0.1:0")
    over_grpc.start()
    print(json.dumps({"http": over_http.server_port, "grpc": port}), flush=True)
    sys.stdin.read()
    over_grpc.stop(0)
    print(json.dumps(record.calls), flush=True)


if __name__ == "__main__":
    main()
