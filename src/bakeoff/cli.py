"""The command line: parse, call, print. What takes time to import is imported by the command that needs it."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import bakeoff
from bakeoff.errors import BakeoffError, SpecError, StudyError

if TYPE_CHECKING:
    from rich.console import Console

    from bakeoff.study import Outcome, Plan, Study, Watcher

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
  bakeoff run studies/classics.toml --protocol time --budget 30min
  bakeoff run results/classics            (go on with a study from its folder)
  bakeoff run results/classics --settle   (and add the seeds that its verdict lacks)
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
    despite: Annotated[
        str | None, typer.Option(help="Train in spite of these rules of the audit, such as D1; their findings stay.")
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
        "protocol": protocol,
        "budget": budget,
    }
    patterns, insisted = _words(only) or [], _words(despite)
    if most_seeds is not None and not settle:
        raise SpecError(f"--most-seeds bounds what --settle adds, but got {most_seeds} without it; add --settle")
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
                despite=insisted or [],
                costs=costs,
                data_dir=data_dir,
                on_stage=watcher.stage,
            )
        else:
            spec, adapted = adapted_spec(study, despite=insisted, **flags)  # type: ignore[arg-type]
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
            result, outcome = _settled(planned, watcher, most_seeds) if settle else execute(planned, watcher)
    if dry_run:
        if not settle or not _print_round(planned, most_seeds):
            _print_forecast(planned)
        return
    _print_table(result.folder)
    if outcome.interrupted:
        again = f"bakeoff run {result.folder}{' --settle' if settle else ''}"
        _errors().print(f"Stopped and saved. The same command goes on, or: {again}", soft_wrap=True)
        raise typer.Exit(INTERRUPTED)
    if outcome.failed:
        raise typer.Exit(1)


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(help="A study's folder.")],
    csv: Annotated[bool, typer.Option("--csv", help="As comma-separated values.")] = False,
    json: Annotated[bool, typer.Option("--json", help="With the verdict and every run's epoch records.")] = False,
    targets: Annotated[
        str | None, typer.Option(help="Also the training time to these validation accuracies: 80%,90%.")
    ] = None,
) -> None:
    """Print a study's ranked table again.

    \b
    Examples:
      bakeoff show results/demo
      bakeoff show results/demo --csv > table.csv
      bakeoff show results/classics --targets 80%,85%,90%
    """
    from bakeoff import units
    from bakeoff.report import console
    from bakeoff.report.verdict import time_to_accuracy_table
    from bakeoff.study import Study

    if not csv and not json:
        _print_table(folder)
        if targets is not None:
            accuracies = [units.share(one, "--targets") for one in _words(targets) or []]
            _output().print(time_to_accuracy_table(Study(folder).time_to_accuracy(accuracies)))
        return
    study = Study(folder)
    if csv:
        typer.echo(console.to_csv(study.table()), nl=False)
        return
    text = console.to_json(
        study.spec.name,
        study.runs(),
        study.epochs(),
        study.verdict().facts(),
        unranked=study.unranked(),
        findings=study.findings(),
        costs=study.costs(),
    )
    typer.echo(text, nl=False)


@app.command()
def recommend(
    folder: Annotated[Path, typer.Argument(help="A study's folder.")],
    max_latency: Annotated[
        str | None, typer.Option(help="For one picture, kept by 95 of 100 calls: 10ms, 0.5s.")
    ] = None,
    max_params: Annotated[str | None, typer.Option(help="Parameters: 5M, 300k.")] = None,
    max_macs: Annotated[str | None, typer.Option(help="Multiply-accumulates of one picture: 500M, 1.2G.")] = None,
    max_memory: Annotated[str | None, typer.Option(help="At most during inference: 500MB, 2GB.")] = None,
    max_train_time: Annotated[str | None, typer.Option(help="Of one seed, without evaluation: 90s, 10min, 2h.")] = None,
    min_accuracy: Annotated[str | None, typer.Option(help="On the test set: 80%, 0.8.")] = None,
    difference: Annotated[
        str | None,
        typer.Option(
            help="Smallest difference of accuracies that counts, in percentage points. Default: as the study declares."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="With all numbers that it rests on.")] = False,
) -> None:
    """Say which candidate to use under a budget, what else would do, and what it rests on.

    \b
    Examples:
      bakeoff recommend results/classics
      bakeoff recommend results/classics --max-latency 10ms --max-params 5M
      bakeoff recommend results/classics --min-accuracy 90% --json
    """
    from bakeoff import units
    from bakeoff.report.verdict import as_json, recommendation_table, standings_table
    from bakeoff.study import Study

    found = Study(folder).recommend(
        max_latency=None if max_latency is None else units.seconds(max_latency, "--max-latency"),
        max_parameters=None if max_params is None else units.number(max_params, "--max-params"),
        max_macs=None if max_macs is None else units.number(max_macs, "--max-macs"),
        max_memory=None if max_memory is None else units.memory(max_memory, "--max-memory"),
        max_train_time=None if max_train_time is None else units.seconds(max_train_time, "--max-train-time"),
        min_accuracy=None if min_accuracy is None else units.share(min_accuracy, "--min-accuracy"),
        smallest_difference=None if difference is None else units.points(difference, "--difference"),
    )
    if json:
        typer.echo(as_json(found.facts()), nl=False)
        return
    _print_sentences(found.sentences())
    if found.verdict.candidates:
        _output().print(recommendation_table(found), standings_table(found.verdict), sep="\n")


@app.command()
def power(
    folder: Annotated[
        Path | None, typer.Argument(help="A study's folder: how far its seeds lie apart, and its candidates.")
    ] = None,
    sd: Annotated[
        str | None, typer.Option(help="Standard deviation of accuracy between seeds, in percentage points.")
    ] = None,
    difference: Annotated[
        str | None, typer.Option(help="Difference of accuracies to be seen, in percentage points.")
    ] = None,
    candidates: Annotated[int | None, typer.Option(min=2, help="That are compared. Default 2, or the study's.")] = None,
    seeds: Annotated[int | None, typer.Option(min=2, help="Of each candidate.")] = None,
) -> None:
    """Say how many seeds a difference takes to be seen, and which difference so many seeds can see.

    \b
    Examples:
      bakeoff power --sd 0.3 --difference 0.5
      bakeoff power results/classics --candidates 3 --seeds 5
    """
    from bakeoff import units
    from bakeoff.analysis.seed_plan import DIFFERENCES, SEEDS, plan_seeds, spread_of
    from bakeoff.report.verdict import seed_plan_sentences, seed_plan_tables
    from bakeoff.study import Study

    if (folder is None) == (sd is None):
        raise SpecError(
            "`bakeoff power` needs to know how far seeds lie apart: give --sd or a study's folder, one of them; 0.15 to 0.25 points "
            "are usual for networks trained to the end on CIFAR-10, 0.3 to 0.5 for short training or few pictures"
        )
    spread = None if folder is None else spread_of(Study(folder).verdict())
    plan = plan_seeds(
        spread.sd if spread else units.points(str(sd), "--sd"),
        candidates=candidates or max(2, spread.candidates if spread else 2),
        differences=DIFFERENCES if difference is None else [units.points(difference, "--difference")],
        seeds=SEEDS if seeds is None else [seeds],
    )
    _print_sentences(seed_plan_sentences(plan, spread))
    needed, seen = seed_plan_tables(plan)
    if seeds is None or difference is not None:
        _output().print(needed)
    if difference is None or seeds is not None:
        _output().print(seen)


@app.command()
def audit(
    study: Annotated[Path, typer.Argument(help="A study's folder, or a study file that was not run yet.")],
    data: Annotated[str | None, typer.Option(help="Pictures to use instead of the study file's.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where downloaded data sets are kept.")] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Try, too, if each network can learn a few pictures by heart: minutes.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="For other programs.")] = False,
) -> None:
    """Say whether a comparison is fair and its runs are sound. Exit code 1 means that an error is open.

    \b
    Examples:
      bakeoff audit results/classics
      bakeoff audit studies/classics.toml --deep
    """
    from bakeoff.audit import open_errors
    from bakeoff.audit.kept import document
    from bakeoff.report.audit import audit_report
    from bakeoff.report.progress import StudyProgress
    from bakeoff.study.auditing import audit_file, audit_folder

    with StudyProgress() as watcher:
        if study.is_dir():
            if data is not None:
                raise SpecError("a study's folder keeps its pictures, but --data was given; leave it out")
            audited = audit_folder(study, deep=deep, data_dir=data_dir, on_stage=watcher.stage)
        else:
            audited = audit_file(study, data=data, deep=deep, data_dir=data_dir, on_stage=watcher.stage)
    if json:
        typer.echo(document(audited.study.name, audited.findings, audited.labels), nl=False)
    else:
        for line in audit_report(audited.findings, whole=True):
            _output().print(line, soft_wrap=True)
    if open_errors(audited.findings):
        raise typer.Exit(1)


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
    from bakeoff.study.costs import layers_of
    from bakeoff.study.costs import profile as measure
    from bakeoff.words import clean

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
    from bakeoff.report.audit import audit_report
    from bakeoff.report.console import ranked_table
    from bakeoff.report.protocol import budget_words
    from bakeoff.study import Study
    from bakeoff.words import clean

    study, console = Study(folder), _output()
    table = study.table()
    try:
        verdict = study.verdict()
        ties, sentences = {one.candidate_id: one.ties for one in verdict.candidates}, verdict.sentences()
    except StudyError as error:  # what was trained is shown all the same
        ties, sentences = {}, [f"There is no verdict: {error}."]
    console.print(ranked_table(table, study.spec.name, ties))
    _print_sentences(sentences)
    took = dict(zip(table["candidate_id"], table["seconds_train"], strict=True))
    for remark in [*budget_words(study.spec, took), *study.remarks()]:
        console.print(f"- {clean(remark)}", markup=False, highlight=False)
    for line in audit_report(study.findings()):
        console.print(line)
    console.print(f"Written to {folder}", markup=False, highlight=False, soft_wrap=True)


def _settled(planned: Plan, watcher: Watcher, most_seeds: int | None) -> tuple[Study, Outcome]:
    """Run a study and settle it; the statistics that this takes are loaded for it alone."""
    from bakeoff.analysis.further_seeds import MOST_SEEDS
    from bakeoff.study.settling import settle

    return settle(planned, watcher, most_seeds=MOST_SEEDS if most_seeds is None else most_seeds)


def _print_round(planned: Plan, most_seeds: int | None) -> bool:
    """Print the seeds that would be added; return False if runs of the study are left, which come first."""
    from bakeoff.analysis.further_seeds import MOST_SEEDS
    from bakeoff.study.settling import foreseen_round

    coming = foreseen_round(planned, MOST_SEEDS if most_seeds is None else most_seeds)
    if coming is None:
        _print_sentences(["Seeds that would settle the verdict are planned once these runs have ended:"])
        return False
    _print_sentences(coming.sentences())
    return True


def _print_sentences(sentences: list[str]) -> None:
    from bakeoff.words import clean

    console = _output()
    for sentence in sentences:
        console.print(clean(sentence), markup=False, highlight=False)


def _print_forecast(planned: Plan) -> None:
    from bakeoff.forecast import forecast
    from bakeoff.report.console import forecast_table
    from bakeoff.report.progress import StudyProgress
    from bakeoff.report.protocol import budget_words
    from bakeoff.words import clean, duration, plural, size

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
    for remark in [*budget_words(planned.study), *planned.remarks()]:
        console.print(f"- {clean(remark)}", markup=False, highlight=False)


def _output() -> Console:
    from rich.console import Console

    return Console()


def _errors() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def main() -> None:
    """Run the command line; errors that the user can mend are printed without a traceback, with exit code 2."""
    from bakeoff.words import clean

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
