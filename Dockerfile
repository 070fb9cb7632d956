# The service and what it imports: no training code, no tests, no pip. Targets: cpu (the default) and gpu.
# How to build, run and watch it: docs/operations.md. `make image-check` builds it without a Docker engine.
#
# BASE needs Python 3.11 or newer with its venv module, the same in every stage.
ARG BASE=python:3.11-slim-bookworm


# Packages. An index, wheel folder or certificate of yours goes in as a secret, which no layer keeps:
#   docker build --secret id=pip,src=$HOME/.config/pip/pip.conf .
FROM ${BASE} AS venv
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /app
RUN python3 -m venv venv
COPY pyproject.toml constraints.txt deploy/requirements.py ./

FROM venv AS venv-cpu
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 requirements.py cpu > requirements.txt \
    && venv/bin/pip install --quiet --only-binary :all: --constraint constraints.txt --requirement requirements.txt \
    && venv/bin/pip check && venv/bin/pip uninstall --quiet --yes pip

FROM venv AS venv-gpu
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 requirements.py gpu > requirements.txt \
    && venv/bin/pip install --quiet --only-binary :all: --constraint constraints.txt --requirement requirements.txt \
    && venv/bin/pip check && venv/bin/pip uninstall --quiet --yes pip


# Our code, compiled here because a read-only root cannot do so later.
FROM ${BASE} AS code
WORKDIR /app
COPY balance balance
COPY bundle bundle
COPY measure measure
COPY service service
RUN chmod -R a+rX,go-w . && python3 -m compileall -q --invalidation-mode unchecked-hash balance bundle measure service


# What both targets share. Nothing is written outside /tmp and /state (SQLite), so the root can be read-only.
FROM ${BASE} AS runtime
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin evenhand \
    && mkdir /bundles && install -d -o evenhand -g evenhand -m 700 /state
WORKDIR /app
ENV PATH=/app/venv/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    EVENHAND_HOST=0.0.0.0 \
    EVENHAND_PORT=8000 \
    EVENHAND_DATABASE_URL=sqlite:////state/evenhand.db
EXPOSE 8000
VOLUME /state
USER 10001:10001
# Ready, not merely alive: unhealthy means "send no requests here".
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client as h, os, sys; c = h.HTTPConnection('127.0.0.1', int(os.environ['EVENHAND_PORT']), timeout=3); c.request('GET', '/health/ready'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["python", "-m", "service"]
CMD ["serve"]


FROM runtime AS gpu
COPY --from=venv-gpu /app/venv venv
COPY --from=code /app ./
# `auto` would quietly serve from the CPU where the container was given no GPU.
ENV EVENHAND_DEVICE=cuda NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility


FROM runtime AS cpu
COPY --from=venv-cpu /app/venv venv
COPY --from=code /app ./
