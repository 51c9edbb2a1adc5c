"""A study that trains in earnest, under watch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bakeoff.watch.serving import server_of
from tests.watch.browsing import Listener, ask

RUN = """
import sys
from bakeoff.cli import main
sys.argv = ["bakeoff", "run", "--data", "digits", "--models", "shufflenet_v2_x0_5", "--lrs", "0.01", "--epochs", "8",
            "--seeds", "0,1", "--workers", "1", "--no-costs", "--no-tune", "--out", sys.argv[1]]
main()
"""


def records_on(page: str) -> int:
    """How many epoch records a page holds."""
    found = re.search(r'<pre [^>]*id="file-epochs.csv"[^>]*>(.*?)</pre>', page, re.DOTALL)
    return 0 if found is None else found[1].count("\n") - 1


def records_in(folder: Path) -> int:
    """How many epoch records a study has, by SQLite itself."""
    import sqlite3
    from contextlib import closing

    if not (folder / "results.sqlite").exists():
        return 0
    with closing(sqlite3.connect(f"file:{folder / 'results.sqlite'}?mode=ro", uri=True, timeout=10)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'epochs'").fetchall():
            return 0
        return int(connection.execute("SELECT count(*) FROM epochs").fetchone()[0])


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_every_record_of_a_training_study_is_on_the_page_within_two_seconds(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    server = server_of(folder, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    browser = Listener(server.server_port)  # somebody looks
    training = subprocess.Popen([sys.executable, "-c", RUN, str(folder)], env=os.environ, stderr=subprocess.DEVNULL)
    late, seen, since = [], 0, None
    try:
        while training.poll() is None or since is not None:
            recorded = records_in(folder)
            if recorded > seen and since is None:
                since = time.monotonic()
            if since is not None and records_on(ask(server)[1]) > seen:
                late.append(time.monotonic() - since)
                seen, since = records_on(ask(server)[1]), None
            assert since is None or time.monotonic() - since < 20
            time.sleep(0.05)
        assert training.returncode == 0
        assert records_on(ask(server)[1]) == 16
        assert max(late) < 2.0
        time.sleep(1)
        assert "every run has ended" in ask(server, "/progress")[1]
    finally:
        training.kill()
        training.wait()
        browser.close()
        server.shutdown()
        thread.join()
        server.close()
