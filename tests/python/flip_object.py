"""Flips one bit of an object in an S3 bucket: flip_object.py ENDPOINT /BUCKET/KEY OFFSET."""

import sys

from s3_server import signed_request


def main():
    endpoint, path, offset = sys.argv[1], sys.argv[2], int(sys.argv[3])
    body = bytearray(signed_request("GET", endpoint, path))
    body[offset] ^= 4
    signed_request("PUT", endpoint, path, bytes(body))


main()
