"""Compiles `tempo.proto` with the reference compiler and gives its messages, its service's stub and a strict decoder.

What OTLP defines comes from the descriptors of the package opentelemetry-proto, so that there is one copy of it.
"""

import importlib
import json
import pathlib
import sys
import tempfile

from google.protobuf import descriptor_pb2, json_format
from grpc_tools import protoc
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

PROTO = "tempo.proto"


def _compile():
    with tempfile.TemporaryDirectory() as directory:
        known = descriptor_pb2.FileDescriptorSet()
        for module in (common_pb2, resource_pb2, trace_pb2):
            module.DESCRIPTOR.CopyToProto(known.file.add())
        set_file = pathlib.Path(directory, "otlp.binpb")
        set_file.write_bytes(known.SerializeToString())
        here = pathlib.Path(__file__).parent
        outputs = [f"--python_out={directory}", f"--grpc_python_out={directory}"]
        code = protoc.main(["protoc", f"-I{here}", f"--descriptor_set_in={set_file}", *outputs, PROTO])
        assert code == 0, f"protoc: {code}"
        sys.path.insert(0, directory)
        try:
            return importlib.import_module("tempo_pb2"), importlib.import_module("tempo_pb2_grpc")
        finally:
            sys.path.remove(directory)


pb, service = _compile()


def _without_empty_lists(value):
    """Go's marshaller writes an empty list that is not nil, Python's never does."""
    if isinstance(value, dict):
        return {key: _without_empty_lists(item) for key, item in value.items() if item != []}
    if isinstance(value, list):
        return [_without_empty_lists(item) for item in value]
    return value


def strict(message_type, text):
    """Decodes JSON as Grafana's strict decoder does, and demands that it is what protobuf's own encoder writes: 64-bit
    integers as texts, enums as names, nothing that is zero."""
    message = json_format.Parse(text, message_type(), ignore_unknown_fields=False)
    canonical = _without_empty_lists(json_format.MessageToDict(message))
    given = _without_empty_lists(json.loads(text))
    assert given == canonical, f"{message_type.DESCRIPTOR.name}:\n{json.dumps(given)}\ninstead of\n{json.dumps(canonical)}"
    return message
