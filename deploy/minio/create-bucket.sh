#!/bin/sh
# Creates the bucket once; harmless when it exists. MC_HOST_minio in the environment names the server and its keys.
set -eu
mc mb --ignore-existing minio/spanlake
