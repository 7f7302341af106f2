"""What the recipe of the images promises, read without building them."""

import re
import tomllib
from pathlib import Path

import yaml

from tests.charts import CHART

ROOT = Path(__file__).parents[2]
RECIPE = (ROOT / "deploy" / "images" / "Dockerfile").read_text(encoding="utf-8")


def test_version_of_images_chart_and_project_are_one() -> None:
    (version,) = re.findall(r"^ARG VERSION=(.+)$", RECIPE, re.MULTILINE)
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert version == chart["appVersion"] == chart["version"] == project["project"]["version"]


def test_whatever_is_installed_is_what_a_lock_says() -> None:
    installs = re.findall(r"pip install (.+)$", RECIPE, re.MULTILINE)
    assert len(installs) == 4
    for options in installs:
        assert re.fullmatch(r"--no-deps --require-hashes --requirement (lock|sbom)\.txt", options)
