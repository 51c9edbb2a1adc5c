"""A decoding process: one of several that share a folder's pictures. `decoders` starts and feeds it."""

from __future__ import annotations

import json
import sys
from typing import Any

from bakeoff.data.decode import READY, work


def main() -> None:
    """Read jobs from standard input, one JSON document a line, and answer each with one line.

    A job has `paths`, and for decoding the `array` to write into, the row of the `first` picture, and the `size`.
    Without an array headers are read, and pictures decoded to see whether they can be unless `size` is null.
    The answer has `problems` as [index, reason], and for headers `headers`.
    """
    sys.stdout.write(READY + "\n")
    sys.stdout.flush()
    arrays: dict[str, Any] = {}
    for line in sys.stdin:
        job = json.loads(line)
        sys.stdout.write(json.dumps(work(job, arrays)) + "\n")
        sys.stdout.flush()
