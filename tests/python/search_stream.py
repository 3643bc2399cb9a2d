"""Begins a search over gRPC and prints a line of JSON for each message of its stream, until the end or until it is killed."""

import argparse
import json

import grpc
from tempo_messages import pb, service


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grpc", required=True, help="host:port")
    parser.add_argument("--query", required=True)
    parser.add_argument("--limit", type=int, default=20)
    options = parser.parse_args()
    with grpc.insecure_channel(options.grpc) as channel:
        asked = pb.SearchRequest(Query=options.query, Limit=options.limit)
        for message in service.StreamingQuerierStub(channel).Search(asked):
            print(json.dumps({"traces": len(message.traces), "bytes": message.ByteSize()}), flush=True)


if __name__ == "__main__":
    main()
