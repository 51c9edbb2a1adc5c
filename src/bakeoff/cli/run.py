"""`bakeoff run`: train what a study compares."""

from __future__ import annotations

import shlex
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bakeoff.cli.app import INTERRUPTED, app
from bakeoff.cli.parsing import check_folder, numbers, word_list
from bakeoff.cli.printing import errors, output, print_sentences, print_table
from bakeoff.errors import SpecError

if TYPE_CHECKING:
    from bakeoff.forecast import Forecast
    from bakeoff.study import Outcome, Plan, Study

RUN_HELP = """Train candidates under one protocol, and print who wins at what cost.

Comma lists are grid axes: every combination is a candidate, and every candidate is run with every seed. The same
command again goes on where it stopped.

\b
Examples:
  bakeoff run --data digits --epochs 3 --seeds 0,1
  bakeoff run --data my_pictures/ --models resnet18,mobilenet_v2 --lrs 0.01,0.001
  bakeoff run studies/classics.toml --dry-run
  bakeoff run studies/classics.toml --only mobilenet --limit 5000
  bakeoff run studies/classics.toml --protocol time --budget 30min
  bakeoff run results/classics            (go on with a study from its folder)
  bakeoff run results/classics --settle   (and add the seeds that its verdict lacks)
"""


@app.command(help=RUN_HELP)
def run(
    study: Annotated[Path | None, typer.Argument(help="A study file, or the folder of a study to go on with.")] = None,
    data: Annotated[
        str | None, typer.Option(help="digits, cifar10, cifar100, a folder of pictures, or a zip or tar of one.")
    ] = None,
    models: Annotated[list[str] | None, typer.Option(help="Networks, as `bakeoff models` lists them.")] = None,
    optimizers: Annotated[list[str] | None, typer.Option(help="adam, adamw, sgd, muon.")] = None,
    lrs: Annotated[
        list[str] | None, typer.Option(help="Learning rates. Default: adam and adamw 0.001, sgd 0.01, muon 0.1.")
    ] = None,
    epochs: Annotated[list[str] | None, typer.Option(help="Epochs of training. Default 10.")] = None,
    batch_size: Annotated[list[str] | None, typer.Option(help="Pictures a batch. Default 64.")] = None,
    schedule: Annotated[
        list[str] | None, typer.Option(help="constant, cosine, one_cycle, linear. Default cosine.")
    ] = None,
    seeds: Annotated[
        list[str] | None, typer.Option(help="Such as 0,1,2 or 0-4: one run each of every candidate.")
    ] = None,
    stem: Annotated[str | None, typer.Option(help="auto (small under 64 pixels), original, small.")] = None,
    validation: Annotated[
        float | None,
        typer.Option(
            help="Held out of the training set to decide by: a share below 1 or a number; 0 for none. Default 0.1."
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            help="Use about this many training pictures, validation among them, and as large a share of the test set."
        ),
    ] = None,
    precision: Annotated[str | None, typer.Option(help="float32 or bfloat16, the same for all candidates.")] = None,
    protocol: Annotated[
        str | None, typer.Option(help="What candidates get equal shares of: epochs, time, flops. Default epochs.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Of one run: 10min under time, '500 TMACs' under flops. Default: what the first candidate's epochs take."
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Run only candidates whose label matches one of these patterns.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N.")] = "auto",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Runs at once. Default: one a core, as memory allows.")
    ] = None,
    tune: Annotated[
        bool,
        typer.Option(help="Choose each convolution's algorithm by measuring on this machine, or use PyTorch's own."),
    ] = True,
    despite: Annotated[
        list[str] | None,
        typer.Option(help="Train in spite of these rules of the audit, such as D1; their findings stay."),
    ] = None,
    costs: Annotated[
        bool, typer.Option(help="Measure what each candidate costs, once its runs have ended: some seconds each.")
    ] = True,
    out: Annotated[Path | None, typer.Option(help="The study's folder. Default: results/<name>.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where downloaded data sets are kept.")] = None,
    settle: Annotated[
        bool, typer.Option("--settle", help="Then add just the seeds that would settle the verdict, round by round.")
    ] = False,
    most_seeds: Annotated[int | None, typer.Option(min=2, help="Of one candidate, with --settle. Default 10.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and what it will take; train nothing.")
    ] = False,
) -> None:
    """See RUN_HELP."""
    from bakeoff.execution.local import EarlyWorker
    from bakeoff.report.progress import StudyProgress

    check_folder(out, "a study", "results/mine")
    if out is not None and out.exists() and not out.is_dir():
        raise SpecError(
            f"--out takes a folder for a study, but '{out}' is a file; give another name, such as 'results/mine'"
        )
    flags = {
        "data": data,
        "models": word_list(models, "--models"),
        "optimizers": word_list(optimizers, "--optimizers"),
        "lrs": numbers(lrs, "--lrs", float),
        "epochs": numbers(epochs, "--epochs", int),
        "batch_size": numbers(batch_size, "--batch-size", int),
        "schedule": word_list(schedule, "--schedule"),
        "seeds": numbers(seeds, "--seeds", int),
        "stem": stem,
        "validation": validation,
        "limit": limit,
        "precision": precision,
        "protocol": protocol,
        "budget": budget,
    }
    if most_seeds is not None and not settle:
        raise SpecError(f"--most-seeds bounds what --settle adds, but got {most_seeds} without it; add --settle")
    as_usual = device == "auto" and tune and costs and not (workers or only or despite or data_dir or most_seeds)
    again = (" --settle" if settle else "") if as_usual else None
    planned: Plan | None = None
    try:
        with StudyProgress() as watcher, nullcontext() if dry_run else EarlyWorker() as early:
            # Takes a second to load: by then a worker is loading, too.
            from bakeoff.study import begun, plan_command, run_planned

            planned = plan_command(
                study,
                flags,
                out=out,
                device=device,
                workers=workers,
                only=word_list(only, "--only") or (),
                despite=word_list(despite, "--despite") or (),
                tune=tune,
                costs=costs,
                data_dir=data_dir,
                on_stage=watcher.stage,
            )
            if not dry_run:
                result, outcome = run_planned(planned, watcher, early, settle=settle, most_seeds=most_seeds)
    except KeyboardInterrupt:  # a second one, or one before training
        if planned is None or dry_run or not begun(planned.folder):
            raise
        _say_how_to_go_on("Stopped at once; what was saved before is kept.", planned.folder, again)
        raise typer.Exit(INTERRUPTED) from None
    if dry_run:
        _print_plan(planned, settle=settle, most_seeds=most_seeds)
    else:
        _report(result, outcome, data_dir, again)


def _print_plan(planned: Plan, *, settle: bool, most_seeds: int | None) -> None:
    """Print the seeds that the next round would add, or what the runs that are left would take."""
    if not settle or not _print_round(planned, most_seeds):
        _print_forecast(planned)


def _report(result: Study, outcome: Outcome, data_dir: Path | None, again: str | None) -> None:
    """Print the table, write the page, and end with the exit code that the runs earned."""
    from bakeoff.cli.reports import write_page_of_run

    print_table(result.folder)
    write_page_of_run(result, data_dir)
    if outcome.interrupted:
        _say_how_to_go_on("Stopped and saved.", result.folder, again)
        raise typer.Exit(INTERRUPTED)
    if outcome.failed:
        raise typer.Exit(1)


def _say_how_to_go_on(stopped: str, folder: Path, again: str | None) -> None:
    """Tell the command that goes on.

    Args:
        stopped: How it ended, in a sentence.
        folder: Of the study.
        again: Flags that go with the folder; None where it takes more than those, so that only the same command will do.
    """
    instead = "." if again is None else f", or: bakeoff run {shlex.quote(str(folder))}{again}"
    errors().print(f"{stopped} The same command goes on{instead}", markup=False, soft_wrap=True)


def _print_round(planned: Plan, most_seeds: int | None) -> bool:
    """Print the seeds that would be added; return False if runs of the study are left, which come first."""
    from bakeoff.analysis.further_seeds import DEFAULT_MOST_SEEDS
    from bakeoff.study.settling import foreseen_round

    coming = foreseen_round(planned, DEFAULT_MOST_SEEDS if most_seeds is None else most_seeds)
    if coming is None:
        print_sentences(["Seeds that would settle the verdict are planned once these runs have ended:"])
        return False
    print_sentences(coming.sentences())
    return True


def _print_forecast(planned: Plan) -> None:
    from bakeoff.forecast import forecast
    from bakeoff.report.console import forecast_table
    from bakeoff.report.progress import StudyProgress
    from bakeoff.report.protocol import budget_words
    from bakeoff.study.auditing import examine, stop_if_wasted, told
    from bakeoff.words import clean, duration, plural, size

    with StudyProgress() as watcher:
        findings = examine(planned, watcher.stage).findings
        stop_if_wasted(planned, findings)
        expected = forecast(planned, watcher.stage)
    console = output()
    ended = len(planned.runs()) - sum(row.runs for row in expected.candidates)
    before = f"{plural(ended, 'run')} ended before; " if ended else ""
    title = f"{planned.study.name}: {before}nothing was trained now"
    if not expected.candidates:
        print_sentences([f"{title}, and no run is left."])
        return
    memory = "up to " if expected.memory is None else f"up to {size(expected.memory)} of memory and "
    console.print(forecast_table(_forecast_rows(expected), f"{title}; this is what it would take here"))
    console.print(
        f"In all about {duration(expected.seconds)} with {plural(expected.workers, 'worker')} of {plural(expected.threads, 'thread')}, "
        f"{memory}{size(expected.disk)} of disk ({size(expected.disk_free)} free) in {planned.folder}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    for remark in [*budget_words(planned.study), *planned.remarks(), *told(findings)]:
        console.print(f"- {clean(remark)}", markup=False, highlight=False)


def _forecast_rows(expected: Forecast) -> list[dict[str, Any]]:
    from bakeoff.words import size

    return [
        {
            "label": row.label,
            "runs": row.runs,
            "seconds": row.seconds,
            "images_per_second": row.images_per_second,
            "parameters": row.parameters,
            "macs": row.macs,
            "memory": size(row.probe.peak_memory),
        }
        for row in expected.candidates
    ]
