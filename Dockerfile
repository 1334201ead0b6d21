# docker build -t rookery .                              CPU
# docker build -t rookery --build-arg EXTRA=cuda13 .     NVIDIA GPU; run with --gpus all
ARG PYTHON=3.12
FROM python:${PYTHON}-slim
ARG EXTRA=""
ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1
WORKDIR /opt/rookery
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
# hadolint ignore=DL3013
RUN pip install ".${EXTRA:+[$EXTRA]}" && useradd --create-home --uid 1000 rookery
USER 1000
WORKDIR /home/rookery
ENTRYPOINT ["rookery"]
CMD ["--help"]
