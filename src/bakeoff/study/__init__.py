"""Plan, execute, record: the one room that joins what trains with what judges."""

from __future__ import annotations

from bakeoff.execution.local import EarlyWorker
from bakeoff.study.command import plan_command, run_planned
from bakeoff.study.driver import Outcome, Watcher, execute, runs_left
from bakeoff.study.folder import Study, begun, predictions_path
from bakeoff.study.planned import Plan
from bakeoff.study.planning import facts_of, plan, plan_folder

__all__ = [
    "EarlyWorker",
    "Outcome",
    "Plan",
    "Study",
    "Watcher",
    "begun",
    "execute",
    "facts_of",
    "plan",
    "plan_command",
    "plan_folder",
    "predictions_path",
    "run_planned",
    "runs_left",
]
