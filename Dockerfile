# Byre's images, one target a kind of process:
#
#   control   the API, the control worker, beat, the console proxy and the `byre` command; no libvirt
#   flower    the dashboard of the queues
#   compute   a hypervisor: libvirt, QEMU and the worker; no web framework, no database driver
#
# The virtual environment is made in stages of their own, so that no compiler stays behind.

FROM debian:bookworm-slim AS python
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    PATH=/opt/byre/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 tini \
    && rm -rf /var/lib/apt/lists/*
ENTRYPOINT ["tini", "--"]

FROM python AS source
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        gcc libc6-dev libvirt-dev pkg-config python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY app app
COPY config config
COPY tasks tasks
COPY workers workers
# Also holds in the environments that pip builds in, which --constraint does not.
ENV PIP_CONSTRAINT=/source/constraints.txt
RUN python3 -m venv /opt/byre && /opt/byre/bin/pip install setuptools wheel

FROM source AS control-build
RUN /opt/byre/bin/pip install '.[control]'
COPY deploy/console-pages ./
RUN apt-get update \
    && ./console-pages /opt/byre/share/byre-console \
    && rm -rf /var/lib/apt/lists/*

FROM source AS flower-build
RUN /opt/byre/bin/pip install '.[flower]'

FROM source AS compute-build
RUN /opt/byre/bin/pip install '.[compute]'

FROM python AS control
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/byre byre \
    && install -d -o byre -g byre -m 750 /var/lib/byre/images /var/lib/byre/clouds
COPY --from=control-build /opt/byre /opt/byre
USER byre
WORKDIR /var/lib/byre
CMD ["byre-api"]

FROM python AS flower
RUN useradd --system --uid 10001 byre
COPY --from=flower-build /opt/byre /opt/byre
USER byre
WORKDIR /
CMD ["celery", "--app", "workers.flower", "flower", "--address=0.0.0.0", "--port=5555"]

FROM python AS compute
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        conntrack dnsmasq-base e2fsprogs ebtables iproute2 iptables kmod \
        libvirt-clients libvirt-daemon \
        libvirt-daemon-config-nwfilter libvirt-daemon-driver-qemu libvirt-daemon-system \
        nftables ovmf qemu-system-x86 qemu-utils \
    && rm -rf /var/lib/apt/lists/*
COPY deploy/container/qemu.conf deploy/container/virtlogd.conf /etc/libvirt/
COPY deploy/container/compute /usr/local/bin/byre-compute-container
COPY --from=compute-build /opt/byre /opt/byre
WORKDIR /var/lib/byre
CMD ["byre-compute-container"]
