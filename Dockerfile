# raytrain with Ray, MLflow and the encoders, for the nodes of a cluster and for one machine; nothing runs as root.
#
#   docker build --target cuda --tag raytrain:latest .
#   docker build --target cpu --build-arg TORCH_INDEX=URL --tag raytrain:cpu .
#   docker run --rm raytrain:cpu raytrain doctor
#
# PyTorch's own packages for Linux hold CUDA's libraries, so the image for GPUs stands on the same small base and needs
# only NVIDIA's driver and container toolkit on the host; a base with CUDA would hold these libraries twice. For a CPU,
# TORCH_INDEX is the index of PyTorch's CPU builds, which are a tenth of the size.
# The packages are one layer, which changes with constraints.txt and pyproject.toml; raytrain is a layer of 5 MB on it.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS wheel
WORKDIR /source
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE CHANGELOG.md constraints.txt ./
COPY raytrain raytrain
COPY search_spaces search_spaces
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:${PYTHON}-slim-bookworm AS base
# wget: KubeRay's probes; procps: Ray's launcher. The user and its home are those that cluster descriptions expect.
# Debian keeps the newest fix of these two alone, so that a pinned version would be gone.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends procps wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 --shell /bin/bash ray \
    && install --directory --owner=ray /opt/raytrain
USER 1000
RUN python -m venv /opt/raytrain
# RAY_AUTH_MODE says that there is a token; it is none
# hadolint ignore=DL3064
ENV PATH=/opt/raytrain/bin:$PATH \
    PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1 \
    RAY_AUTH_MODE=token \
    TOKENIZERS_PARALLELISM=false
WORKDIR /home/ray

FROM base AS cpu-packages
ARG EXTRAS=ray,mlflow,encode,fast,serve
ARG TORCH_INDEX=
COPY --chown=ray pyproject.toml constraints.txt .ci/image_requirements.py /tmp/packages/
RUN python /tmp/packages/image_requirements.py "${EXTRAS}" > /tmp/packages/requirements.txt \
    && pip install --constraint /tmp/packages/constraints.txt ${TORCH_INDEX:+--extra-index-url "${TORCH_INDEX}"} \
    --requirement /tmp/packages/requirements.txt

FROM base AS cuda-packages
ARG EXTRAS=ray,mlflow,encode,fast,serve
COPY --chown=ray pyproject.toml constraints.txt .ci/image_requirements.py /tmp/packages/
RUN python /tmp/packages/image_requirements.py "${EXTRAS}" > /tmp/packages/requirements.txt \
    && pip install --constraint /tmp/packages/constraints.txt --requirement /tmp/packages/requirements.txt

FROM cpu-packages AS cpu
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel pip install --no-deps /wheel/*.whl && pip check
CMD ["raytrain", "--help"]

FROM cuda-packages AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel pip install --no-deps /wheel/*.whl && pip check
CMD ["raytrain", "--help"]
