#!/bin/sh
# Inside the build: leaves nothing in /opt/tollway that could install something, and writes down what there is, with
# versions, licences and where it came from, as a CycloneDX bill of materials.
set -eu
/opt/tollway/bin/pip uninstall --yes --quiet setuptools pip
/opt/sbom/bin/cyclonedx-py environment --output-reproducible --output-format JSON --output-file /opt/sbom.cdx.json \
    --pyproject pyproject.toml /opt/tollway/bin/python
