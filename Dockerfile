# syntax=docker/dockerfile:1
# The image of shipper: a virtual environment on a slim base, nothing else. The base can be pinned by digest:
#   docker build --build-arg BASE=python:3.11-slim-bookworm@sha256:... .
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python3 -m venv /opt/shipper
# The tool that lists what the image is made of stays behind in this stage.
RUN python3 -m venv /opt/sbom && /opt/sbom/bin/pip install cyclonedx-bom==7.5.0
# The dependencies are a layer of their own: a change of the code alone does not install them again.
COPY pyproject.toml constraints.txt ./
RUN python3 -c "import tomllib; print('\n'.join(tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies']))" > requirements.txt \
 && /opt/shipper/bin/pip install -c constraints.txt --only-binary=:all: -r requirements.txt
COPY README.md ./
COPY shipper shipper
RUN /opt/shipper/bin/pip install --no-deps . \
 && /opt/shipper/bin/python -m shipper --version \
 && /opt/shipper/bin/pip uninstall --yes pip setuptools \
 # botocore describes every service of AWS; a bucket and the ways to its credentials need these.
 && find /opt/shipper/lib/python3*/site-packages/botocore/data -mindepth 1 -maxdepth 1 -type d \
      ! -name s3 ! -name sts ! -name sso ! -name sso-oidc ! -name signin -exec rm -rf {} + \
 && find /opt/shipper -type d -name __pycache__ -prune -exec rm -rf {} + \
 && find /opt/shipper -type d \( -name tests -o -name test \) -path '*/site-packages/*' -prune -exec rm -rf {} + \
 && python3 -m compileall -q -j 0 /opt/shipper/lib
RUN /opt/sbom/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml \
      --output-file /opt/shipper/sbom.json /opt/shipper/bin/python

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="shipper" \
      org.opencontainers.image.description="Keeps every log line and event of your Ignite apps: complete, once, in an archive you own." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=build /opt/shipper /opt/shipper
# The buffer's folder, for a volume; 65532 is the usual "nonroot". HOME is somewhere harmless and readable.
RUN install -d -o 65532 -g 65532 -m 0750 /var/lib/shipper && install -d -m 0755 /etc/shipper
ENV PATH=/opt/shipper/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
USER 65532:65532
WORKDIR /var/lib/shipper
EXPOSE 9464
ENTRYPOINT ["shipper"]
CMD ["run", "--config", "/etc/shipper/config.yaml"]
