# syntax=docker/dockerfile:1
# Two images from one file:
#   docker build --target infer -t smidgen:infer .   serves artifacts, without torch
#   docker build --target full  -t smidgen:full  .   also calibrates, trains and converts
ARG PYTHON_IMAGE=python:3.12-slim

FROM ${PYTHON_IMAGE} AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY pyproject.toml CMakeLists.txt README.md LICENSE ./
COPY csrc csrc
COPY proto proto
COPY python python
COPY service service
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM ${PYTHON_IMAGE} AS infer
COPY requirements.lock /tmp/requirements.lock
# The lock file constrains the versions; the wheel's own metadata says what is needed of it.
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --constraint /tmp/requirements.lock "$(echo /wheels/*.whl)[images,otel]" \
    && groupadd --gid 1000 smidgen \
    && useradd --uid 1000 --gid 1000 --no-create-home --shell /usr/sbin/nologin smidgen \
    && install --directory --owner=1000 --group=1000 /data
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 1000:1000
VOLUME /data
EXPOSE 8001 8002
STOPSIGNAL SIGTERM
# Of a server with TLS the probe needs SMIDGEN_TLS_CA, and SMIDGEN_TLS_NAME, the host in its certificate; where clients
# show certificates, SMIDGEN_CLIENT_CERT and SMIDGEN_CLIENT_KEY as well. Health needs no token.
ENV SMIDGEN_SERVER=127.0.0.1:8001
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["smidgen", "health"]
# A container's own network is not loopback; who can reach the published ports is up to the operator.
ENTRYPOINT ["smidgen", "serve", "--host", "0.0.0.0", "--insecure-bind", "--data-dir", "/data"]

FROM infer AS full
USER 0
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --constraint /tmp/requirements.lock "$(echo /wheels/*.whl)[optimize,images,otel]"
USER 1000:1000

FROM full AS default
