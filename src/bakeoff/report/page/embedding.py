"""Putting data and programs into a page so that nothing in the data can break out of it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from markupsafe import Markup


def json_text(value: Any) -> Markup:
    """Return JSON for a `<script type="application/json">`.

    Inside a script element a browser looks for `</script` and `<!--` only, and old ones end lines at U+2028 and
    U+2029; with `<`, `>` and `&` written as escapes and all else in ASCII, none of these can occur.

    Raises:
        ValueError: If a number in it is not finite.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def content_security_policy(scripts: Iterable[str]) -> str:
    """Return a policy under which only these scripts run and nothing is fetched from anywhere.

    Styles may stand in the page, since Plotly writes its own; pictures may be `data:` or `blob:`, which is how Plotly
    saves a figure.

    Args:
        scripts: The text of each.
    """
    digests = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
