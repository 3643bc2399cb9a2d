# The image of the spanlake binary: built with the toolchain's image, run on a bare Debian as an unprivileged user.
#
#   docker build -t spanlake .
#   docker run --rm -p 3200:3200 -p 4317:4317 -p 4318:4318 -v spanlake:/data spanlake

FROM rust:1.95-slim-bookworm AS build
# The allocator is built with make.
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
# The caches outlive the build, so that the second one compiles only what changed; the binary must be copied out.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --bin spanlake \
    && cp target/release/spanlake /usr/local/bin/spanlake \
    && mkdir /data

FROM debian:bookworm-slim
# To verify the certificates of object stores; taken from the build image, so that nothing is installed here.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=10001:10001 /data /data
COPY --from=build /usr/local/bin/spanlake /usr/local/bin/spanlake
USER 10001:10001
WORKDIR /data
# Inside a container, loopback would reach nobody.
ENV SPANLAKE_STORAGE__URL=file:///data \
    SPANLAKE_SERVER__HTTP_LISTEN=0.0.0.0:3200 \
    SPANLAKE_SERVER__GRPC_LISTEN=0.0.0.0:9095 \
    SPANLAKE_OTLP__GRPC_LISTEN=0.0.0.0:4317 \
    SPANLAKE_OTLP__HTTP_LISTEN=0.0.0.0:4318
EXPOSE 3200 9095 4317 4318
VOLUME /data
ENTRYPOINT ["/usr/local/bin/spanlake"]
CMD ["serve"]
