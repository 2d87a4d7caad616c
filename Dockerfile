# The gateway's image. A stage with a compiler makes what is copied into one without; that one is the slim base less what
# a gateway never needs (pip, the parts of Python that have windows or tests, documentation).
#
#   docker build -t thinkgate .
#   docker build -t thinkgate --secret id=pip_conf,src=pip.conf --secret id=ca,src=ca.pem .    # behind a mirror
#
# No package host is named here: pip asks the public index unless the secret pip_conf says otherwise; the secret ca is a
# bundle of certificates to trust. Neither stays in the image. Versions are those of constraints.txt.
ARG PYTHON=3.11

FROM python:${PYTHON}-bookworm AS build
ARG SETUPTOOLS=84.2.1
# What pyproject.toml calls extras, if any: postgres, redis, oidc, otel.
ARG EXTRAS=
# pip hands its environment on to the build of the package itself: older ones as PIP_CONSTRAINT, from 25.3 on the other.
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_COMPILE=1 \
    PIP_CONSTRAINT=/src/lock.txt PIP_BUILD_CONSTRAINT=/src/lock.txt
WORKDIR /src
COPY constraints.txt pyproject.toml README.md ./
COPY deploy/image deploy/image
COPY app app
COPY router router
# The last lines fail where the judge's C part was not built (it would be ten times slower), and write a list of what is
# in the image. Bytecode that is never checked against its source needs no clock, and no writable file system.
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf --mount=type=secret,id=ca,target=/run/secrets/ca \
    set -eu; \
    { cat constraints.txt; echo "setuptools==${SETUPTOOLS}"; } > lock.txt; \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    python -m venv --without-pip /opt/thinkgate; \
    python -m pip --python /opt/thinkgate/bin/python install --quiet ".${EXTRAS:+[$EXTRAS]}"; \
    find /opt/thinkgate -path '*/numpy/*' -type d -name tests -prune -exec rm -rf {} +; \
    find /opt/thinkgate -path '*/direct_url.json' -delete; \
    rm -rf /opt/thinkgate/lib/python*/site-packages/numpy/f2py /opt/thinkgate/lib/python*/site-packages/numpy/distutils; \
    find /opt/thinkgate -path '*/uvloop/*.so' -exec strip --strip-debug {} +; \
    find /opt/thinkgate \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.a' -o -name '*.h' \) -delete; \
    /opt/thinkgate/bin/python -I -c 'import router.judges._scan'; \
    /opt/thinkgate/bin/python -I deploy/image/sbom.py > /opt/thinkgate/sbom.cdx.json; \
    find /opt/thinkgate -name __pycache__ -type d -prune -exec rm -rf {} +; \
    /opt/thinkgate/bin/python -I -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/thinkgate/lib; \
    install -d -m 0750 /state

FROM python:${PYTHON}-slim-bookworm AS base
RUN set -eu; \
    lib="$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"; \
    rm -rf "$lib"/site-packages/* "$lib"/ensurepip "$lib"/idlelib "$lib"/tkinter "$lib"/turtledemo "$lib"/lib2to3 \
        "$lib"/pydoc_data "$lib"/test /usr/local/bin/pip* /usr/local/bin/idle* /usr/local/bin/2to3* \
        /usr/lib/*-linux-gnu/gconv /usr/share/doc /usr/share/man /usr/share/info /usr/share/locale \
        /var/cache/* /var/lib/apt/lists/* /var/log/* /root/.cache; \
    find "$lib" -name __pycache__ -type d -prune -exec rm -rf {} +; \
    python -m compileall -q -j 0 --invalidation-mode unchecked-hash "$lib"; \
    python -c 'import sqlite3, ssl'

# As one layer: what was removed above is gone, not hidden.
FROM scratch
# hadolint ignore=DL3067
COPY --from=base / /
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="ThinkGate" \
      org.opencontainers.image.description="OpenAI-compatible gateway in front of vLLM with per-request think routing" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      io.thinkgate.sbom.path="/opt/thinkgate/sbom.cdx.json" \
      io.thinkgate.sbom.format="CycloneDX 1.6"
COPY --from=build /opt/thinkgate /opt/thinkgate
# The only folder that is written to, and only by a decision log: mount a volume there.
COPY --from=build --chown=65532:65532 /state /var/lib/thinkgate
# One process uses one core: numpy's threads would only wait for each other.
ENV PATH=/opt/thinkgate/bin:/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OPENBLAS_NUM_THREADS=1
WORKDIR /var/lib/thinkgate
USER 65532:65532
EXPOSE 8080
# The gateway drains its streams on SIGTERM for server.drain_timeout_s (30 s): give it that long before a SIGKILL.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-I", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8080, timeout=2); c.request('GET', '/health/live'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["thinkgate"]
CMD ["serve", "--config", "/etc/thinkgate/gateway.yaml", "--host", "0.0.0.0", "--port", "8080"]
