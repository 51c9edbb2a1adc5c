"""What makes a page live: the bar with the progress, and the script that listens for news."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from bakeoff.report.page.embedding import content_security_policy


@cache
def _asset(name: str) -> str:
    return (files("bakeoff.watch") / name).read_text(encoding="utf-8")


class LiveParts(NamedTuple):
    """HTML that a page holds besides its own."""

    head: str
    """HTML for the end of the page's head."""

    top: str
    """HTML for the beginning of the page's body."""


def live_parts(version: str, scripts: Sequence[str] = ()) -> LiveParts:
    """Return what makes a page live.

    Args:
        version: The page's; empty for one that only waits for the first.
        scripts: The page's own. One with other scripts than those that run is loaded anew, not taken over.
    """
    build = hashlib.sha256("".join((*scripts, _script())).encode()).hexdigest()[:16]
    top = (
        '<section id="watch" aria-label="Progress"><p id="watch-summary"></p>'
        '<progress id="watch-share" max="1" value="0" aria-label="Epochs of all runs" hidden></progress>'
        '<ul id="watch-running"></ul><div id="watch-troubles" role="status"></div>'
        '<p id="watch-line">Connecting.</p></section>'
        f'<script id="watch-script" data-page="{html.escape(version)}" data-build="{build}">{_script()}</script>'
    )
    return LiveParts(f"<style>{_asset('live.css')}</style>", top)


def _script() -> str:
    return _asset("live.js")


def waiting_page(said: str | None) -> str:
    """Return the page that is shown until there is a study.

    Args:
        said: Why there is none.
    """
    added = live_parts("")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>bakeoff watch</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f'<link rel="icon" href="data:,">{added.head}</head><body style="font-family: system-ui, sans-serif; margin: 1rem">'
        f"{added.top}<main><p>The study's page appears here as soon as there is one.</p>"
        f"<noscript><p>{html.escape(said or '')}</p></noscript></main></body></html>"
    )


def security_policy(scripts: Sequence[str] = ()) -> str:
    """Return a policy under which only a page's own scripts and the live one run, and news come from the server alone.

    Their texts are known before a study is read, so whatever its names might smuggle in is not among them.

    Args:
        scripts: The page's own.
    """
    return f"{content_security_policy([*scripts, _script()])}; connect-src 'self'; frame-ancestors 'none'"
