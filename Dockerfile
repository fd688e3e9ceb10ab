# syntax=docker/dockerfile:1
# Two images from one file:
#   docker build --target infer -t smidgen:infer .   serves artifacts, without torch
#   docker build --target full  -t smidgen:full  .   also calibrates, trains and converts
# docs/deployment.md tells how to run them.
ARG PYTHON_IMAGE=python:3.12-slim

FROM ${PYTHON_IMAGE} AS build
# What the base lacks for compiling; Debian's own Python lacks python3-dev and python3-venv besides.
ARG BUILD_PACKAGES="g++"
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ${BUILD_PACKAGES} \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/build
WORKDIR /source
COPY pyproject.toml CMakeLists.txt README.md LICENSE ./
COPY csrc csrc
COPY proto proto
COPY python python
COPY service service
# The secrets, both optional, are pip's configuration and the roots that it trusts: neither is left in a layer.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/run/secrets/ca.pem \
    /opt/build/bin/pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .
COPY requirements.lock ./
# The lock file constrains the versions; the wheel's own metadata says what is needed of it. Without a pip of its own, the
# environment stays what it is. Other packages' tests and stubs, and the compiled form of what nothing imports, are a tenth of it.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/run/secrets/ca.pem \
    python3 -m venv --without-pip /opt/smidgen \
    && /opt/build/bin/pip --python /opt/smidgen/bin/python install --no-cache-dir --no-compile \
        --constraint requirements.lock "$(echo /wheels/*.whl)[images,otel]" \
    && find /opt/smidgen \( -path '*/tests/*' -name 'test_*.py' -o -name '*.pyi' \) -delete \
    && /opt/smidgen/bin/python -m compileall -q -x '/(tests|f2py|distutils|testing|lexers|styles)/' /opt/smidgen/lib

FROM build AS build-full
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/run/secrets/ca.pem \
    /opt/build/bin/pip --python /opt/smidgen/bin/python install --no-cache-dir --constraint requirements.lock \
        "$(echo /wheels/*.whl)[optimize,images,otel]"

FROM ${PYTHON_IMAGE} AS runtime
ARG PYTHON_IMAGE
ARG VERSION=0.1.0
ARG REVISION=""
LABEL org.opencontainers.image.title="Smidgen" \
      org.opencontainers.image.description="Makes neural networks small and fast, and serves them over gRPC." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
RUN groupadd --gid 1000 smidgen \
    && useradd --uid 1000 --gid 1000 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin smidgen \
    && install --directory --owner=1000 --group=1000 /data
ENV PATH=/opt/smidgen/bin:$PATH
VOLUME /data
EXPOSE 8001 8002
STOPSIGNAL SIGTERM
# Of a server with TLS the probe needs SMIDGEN_TLS_CA, and SMIDGEN_TLS_NAME, the host in its certificate; where clients
# show certificates, SMIDGEN_CLIENT_CERT and SMIDGEN_CLIENT_KEY as well. Health needs no token.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["smidgen", "health"]
ENTRYPOINT ["smidgen"]
CMD ["serve"]

FROM runtime AS infer
COPY --from=build /opt/smidgen /opt/smidgen
# The import leaves the compiled form of what the interpreter's library brings as source: nobody can write it later.
RUN --mount=type=bind,source=tools/images/sbom.py,target=/run/sbom.py \
    python -c 'import smidgen.cli.app, smidgen.formats.pt2, smidgen_service.server' \
    && python /run/sbom.py /usr/share/smidgen/sbom.cdx.json
# Settings of the server and of the probe. The server refuses this address until it is given TLS and credentials, or told by
# SMIDGEN_INSECURE_BIND=true that somebody else keeps strangers out.
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SMIDGEN_HOST=0.0.0.0 \
    SMIDGEN_DATA_DIR=/data \
    SMIDGEN_SERVER=127.0.0.1:8001
USER 1000:1000

FROM runtime AS full
COPY --from=build-full /opt/smidgen /opt/smidgen
RUN --mount=type=bind,source=tools/images/sbom.py,target=/run/sbom.py \
    python -c 'import smidgen.cli.app, smidgen.formats.pt2, smidgen_service.server, torch, onnx' \
    && python /run/sbom.py /usr/share/smidgen/sbom.cdx.json
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SMIDGEN_HOST=0.0.0.0 \
    SMIDGEN_DATA_DIR=/data \
    SMIDGEN_SERVER=127.0.0.1:8001
USER 1000:1000

FROM full AS default
