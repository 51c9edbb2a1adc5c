"""The command line: parse, call, print. What takes time to import is imported by the command that needs it."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import bakeoff
from bakeoff.errors import BakeoffError, SpecError

if TYPE_CHECKING:
    from rich.console import Console

    from bakeoff.study import Plan

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""

app = typer.Typer(
    name="bakeoff",
    help="Which image classifier should I use for these pictures, and what will it cost me?",
    epilog="Try: bakeoff run --data digits --epochs 2",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RUN_HELP = """Train candidates under one protocol, and print who wins at what cost.

Comma lists are grid axes: every combination is a candidate, and every candidate is run with every seed. The same
command again goes on where it stopped.

\b
Examples:
  bakeoff run --data digits --epochs 3 --seeds 0,1
  bakeoff run --data my_pictures/ --models resnet18,mobilenet_v2 --lrs 0.01,0.001
  bakeoff run studies/classics.toml --dry-run
  bakeoff run studies/classics.toml --only mobilenet --limit 5000
  bakeoff run results/classics            (go on with a study from its folder)
"""


def _numbers(text: str | None, flag: str, kind: type[int] | type[float]) -> list[int] | list[float] | None:
    """Parse a comma list of numbers; whole numbers may be given as ranges such as 0-4."""
    if text is None:
        return None
    values: list[float] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        try:
            if kind is int and dash and first:
                values += range(int(first), int(last) + 1)
            else:
                values.append(kind(part))
        except ValueError as error:
            what = "whole numbers, or ranges such as 0-4," if kind is int else "numbers"
            raise SpecError(f"{flag} takes {what} with commas between them, but got '{text}'") from error
    return values


def _words(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


@app.command(help=RUN_HELP)
def run(
    study: Annotated[Path | None, typer.Argument(help="A study file, or the folder of a study to go on with.")] = None,
    data: Annotated[
        str | None, typer.Option(help="digits, cifar10, cifar100, a folder of pictures, or a zip or tar of one.")
    ] = None,
    models: Annotated[str | None, typer.Option(help="Networks, as `bakeoff models` lists them.")] = None,
    optimizers: Annotated[str | None, typer.Option(help="adam, adamw, sgd, muon.")] = None,
    lrs: Annotated[
        str | None, typer.Option(help="Learning rates. Default: adam and adamw 0.001, sgd 0.01, muon 0.1.")
    ] = None,
    epochs: Annotated[str | None, typer.Option(help="Epochs of training. Default 10.")] = None,
    batch_size: Annotated[str | None, typer.Option(help="Pictures a batch. Default 64.")] = None,
    schedule: Annotated[str | None, typer.Option(help="constant, cosine, one_cycle, linear. Default cosine.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Such as 0,1,2 or 0-4: one run each of every candidate.")] = None,
    stem: Annotated[str | None, typer.Option(help="auto (small under 64 pixels), original, small.")] = None,
    validation: Annotated[
        float | None,
        typer.Option(
            help="Held out of the training set to decide by: a share below 1 or a number; 0 for none. Default 0.1."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Use about this many training pictures, to try things out.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32 or bfloat16, the same for all candidates.")] = None,
    only: Annotated[
        str | None, typer.Option(help="Run only candidates whose label matches one of these patterns.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N.")] = "auto",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Runs at once. Default: one a core, as memory allows.")
    ] = None,
    tune: Annotated[
        bool,
        typer.Option(help="Choose each convolution's algorithm by measuring on this machine, or use PyTorch's own."),
    ] = True,
    costs: Annotated[
        bool, typer.Option(help="Measure what each candidate costs, once its runs have ended: some seconds each.")
    ] = True,
    out: Annotated[Path | None, typer.Option(help="The study's folder. Default: results/<name>.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where downloaded data sets are kept.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and what it will take; train nothing.")
    ] = False,
) -> None:
    """See RUN_HELP."""
    from bakeoff.flags import adapted_spec
    from bakeoff.report.progress import StudyProgress
    from bakeoff.study import execute, plan, plan_folder

    flags = {
        "data": data,
        "models": _words(models),
        "optimizer": _words(optimizers),
        "learning_rate": _numbers(lrs, "--lrs", float),
        "epochs": _numbers(epochs, "--epochs", int),
        "batch_size": _numbers(batch_size, "--batch-size", int),
        "schedule": _words(schedule),
        "seeds": _numbers(seeds, "--seeds", int),
        "stem": stem,
        "validation": validation,
        "limit": limit,
        "precision": precision,
    }
    patterns = _words(only) or []
    with StudyProgress() as watcher:
        if study is not None and study.is_dir():
            given = [name for name, value in flags.items() if value is not None]
            if given or out is not None:
                raise SpecError(
                    f"a study that goes on from its folder keeps its settings, but {', '.join(given or ['out'])} was given; leave it out"
                )
            planned = plan_folder(
                study,
                device=device,
                workers=workers,
                only=patterns,
                tune=tune,
                costs=costs,
                data_dir=data_dir,
                on_stage=watcher.stage,
            )
        else:
            spec, adapted = adapted_spec(study, **flags)  # type: ignore[arg-type]
            planned = plan(
                spec,
                out=out,
                adapted=adapted,
                device=device,
                workers=workers,
                only=patterns,
                tune=tune,
                costs=costs,
                data_dir=data_dir,
                on_stage=watcher.stage,
            )
        if not dry_run:
            for remark in planned.remarks():
                watcher.warn(remark)
            result, outcome = execute(planned, watcher)
    if dry_run:
        _print_forecast(planned)
        return
    _print_table(result.folder)
    if outcome.interrupted:
        _errors().print(f"Stopped and saved. The same command goes on, or: bakeoff run {result.folder}", soft_wrap=True)
        raise typer.Exit(INTERRUPTED)
    if outcome.failed:
        raise typer.Exit(1)


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(help="A study's folder.")],
    csv: Annotated[bool, typer.Option("--csv", help="As comma-separated values.")] = False,
    json: Annotated[bool, typer.Option("--json", help="With every run's epoch records.")] = False,
) -> None:
    """Print a study's ranked table again.

    \b
    Examples:
      bakeoff show results/demo
      bakeoff show results/demo --csv > table.csv
    """
    from bakeoff.report import console
    from bakeoff.study import Study

    if not csv and not json:
        _print_table(folder)
        return
    study = Study(folder)
    text = (
        console.to_csv(study.table())
        if csv
        else console.to_json(study.spec.name, study.runs(), study.epochs(), costs=study.costs())
    )
    typer.echo(text, nl=not text.endswith("\n"))


@app.command()
def figures(
    folder: Annotated[Path, typer.Argument(help="A study's folder.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to write them. Default: report/figures in the study's folder.")
    ] = None,
) -> None:
    """Draw a study's figures, those of the paper among them, as PNG and SVG. Needs bakeoff[figures].

    \b
    Example:
      bakeoff figures results/realm-of-deep-learning
    """
    from bakeoff.report.figures import figures as draw
    from bakeoff.study import Study

    study = Study(folder)
    drawn = draw(study.runs(), study.epochs(), out or folder / "report" / "figures")
    for path in drawn.paths:
        typer.echo(path)
    for reason in drawn.left_out:
        _errors().print(reason, style="yellow", markup=False, highlight=False)


@app.command()
def models() -> None:
    """List the networks that can be compared."""
    from bakeoff.models import available
    from bakeoff.report.console import models_table

    _output().print(models_table(available()))


@app.command()
def data(
    source: Annotated[
        str | None, typer.Argument(help="A data set's name, a folder of pictures, or a zip or tar of one.")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where downloaded data sets are kept.")] = None,
) -> None:
    """Say what is in a data set: classes, counts, sizes, trouble. Without a name, list the names.

    \b
    Examples:
      bakeoff data cifar10
      bakeoff data my_pictures/
    """
    from bakeoff.data import KNOWN_SOURCES, inspect_source
    from bakeoff.report.console import data_report

    if source is None:
        for name in KNOWN_SOURCES:
            typer.echo(name)
        typer.echo("or a folder of pictures (train/<class>/..., test/<class>/...), or a zip or tar of one")
        return
    report = inspect_source(source, data_dir=data_dir)
    _output().print(*data_report(report), sep="\n")
    if report.problems:
        raise typer.Exit(1)


@app.command()
def tune(
    model: Annotated[str, typer.Argument(help="A network, as `bakeoff models` lists them.")],
    size: Annotated[int, typer.Option("--input", min=1, help="Side of its input in pixels.")] = 224,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures a batch.")] = 64,
    stem: Annotated[str, typer.Option(help="auto (small under 64 pixels), original, small.")] = "auto",
    precision: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads, as a worker would have. Default: all cores.")
    ] = None,
) -> None:
    """Show how fast each algorithm computes each convolution of a network here, and which one training would use.

    \b
    Examples:
      bakeoff tune resnet18 --input 32 --stem original
      bakeoff tune mobilenet_v2 --threads 1
    """
    from bakeoff.report.progress import StudyProgress
    from bakeoff.report.tuning import tuning_table
    from bakeoff.study.tuning import tune_model

    with StudyProgress() as watcher:
        tuned = tune_model(
            model,
            size=size,
            batch_size=batch_size,
            stem=stem,
            precision=precision,
            threads=threads,
            on_stage=watcher.stage,
        )
    _output().print(
        tuning_table(
            f"{model} at {size} pixels, batches of {batch_size}, {precision}",
            [(layer.name, layer.shape, layer.macs, layer.milliseconds) for layer in tuned.layers],
            tuned.choices,
            tuned.peak or math.nan,
            tuned.remark,
        )
    )


@app.command()
def profile(
    models: Annotated[list[str], typer.Argument(help="Networks, as `bakeoff models` lists them.")],
    size: Annotated[int, typer.Option("--input", min=1, help="Side of their input in pixels.")] = 224,
    classes: Annotated[int, typer.Option(min=2, help="Number of classes.")] = 10,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures a step of training.")] = 64,
    stem: Annotated[str, typer.Option(help="auto (small under 64 pixels), original, small.")] = "auto",
    precision: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads. Default: all cores.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Turns of each network. Default 5, quick 3.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Measure in short, as a study does.")] = False,
    tune: Annotated[bool, typer.Option(help="Choose each convolution's algorithm for training by measuring.")] = True,
    layers: Annotated[
        bool,
        typer.Option("--layers", help="Show each layer's multiply-accumulates instead, by formula and as counted."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="With every figure and what it was measured under.")] = False,
) -> None:
    """Measure what networks cost here: memory, speed in training, latency, energy; networks take turns.

    \b
    Examples:
      bakeoff profile resnet18 mobilenet_v2 --input 32
      bakeoff profile mobilenet_v1 --layers
      bakeoff profile resnet18 --quick --threads 1 --json
    """
    from bakeoff.report import costs as shown
    from bakeoff.report.progress import StudyProgress
    from bakeoff.report.words import clean
    from bakeoff.study.costs import layers_of
    from bakeoff.study.costs import profile as measure

    if layers:
        for model in models:
            rows = layers_of(model, size=size, classes=classes, stem=stem)
            _output().print(shown.layer_table(f"{model} at {size} pixels, {classes} classes", rows))
        return
    with StudyProgress() as watcher:
        found = measure(
            models,
            size=size,
            classes=classes,
            batch_size=batch_size,
            stem=stem,
            precision=precision,
            device=device,
            threads=threads,
            rounds=rounds,
            quick=quick,
            tune=tune,
            on_stage=watcher.stage,
        )
    if json:
        typer.echo(shown.costs_to_json(found), nl=False)
    else:
        known = {one.model: one.cost for one in found if one.cost is not None}
        _output().print(shown.cost_table(known, f"What networks cost at {size} pixels, {classes} classes"))
        for remark in shown.cost_remarks(known):
            _output().print(f"- {clean(remark)}", markup=False, highlight=False)
    failed = [one for one in found if one.cost is None]
    for one in failed:
        _errors().print(f"{clean(one.model)}: {clean(one.reason or '')}", style="red", markup=False, highlight=False)
    if failed:
        raise typer.Exit(1)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(bakeoff.__version__)
        raise typer.Exit


def _print_table(folder: Path) -> None:
    from bakeoff.report.console import ranked_table
    from bakeoff.report.words import clean
    from bakeoff.study import Study

    study, console = Study(folder), _output()
    console.print(ranked_table(study.table(), study.spec.name))
    for remark in study.remarks():
        console.print(f"- {clean(remark)}", markup=False, highlight=False)
    console.print(f"Written to {folder}", markup=False, highlight=False, soft_wrap=True)


def _print_forecast(planned: Plan) -> None:
    from bakeoff.forecast import forecast
    from bakeoff.report.console import forecast_table
    from bakeoff.report.progress import StudyProgress
    from bakeoff.report.words import clean, duration, plural, size

    with StudyProgress() as watcher:
        expected = forecast(planned, watcher.stage)
    rows = [
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
    console = _output()
    console.print(forecast_table(rows, f"{planned.study.name}: nothing was trained; this is what it would take here"))
    console.print(
        f"In all about {duration(expected.seconds)} with {plural(expected.workers, 'worker')} of {plural(expected.threads, 'thread')}, up to "
        f"{size(expected.memory)} of memory and {size(expected.disk)} of disk ({size(expected.disk_free)} free) in {planned.folder}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    for remark in planned.remarks():
        console.print(f"- {clean(remark)}", markup=False, highlight=False)


def _output() -> Console:
    from rich.console import Console

    return Console()


def _errors() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def main() -> None:
    """Run the command line; errors that the user can mend are printed without a traceback, with exit code 2."""
    from bakeoff.report.words import clean

    try:
        app()
    except BakeoffError as error:
        _errors().print(f"error: {clean(str(error))}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        _errors().print("Stopped.", markup=False)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone; nothing is left to say
        sys.exit(1)
