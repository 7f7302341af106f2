"""Admission webhooks for tests: whom the API server asks before it writes something."""

from collections.abc import Mapping
from typing import Any


def validating_webhook(name: str, url: str, rule: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The configuration of one, by this name, that is asked at `url`; `more` are fields of the webhook."""
    webhook = {
        "name": f"{name}.example.com",
        "clientConfig": {"url": url},
        "rules": [rule],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        **more,
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [webhook],
    }
