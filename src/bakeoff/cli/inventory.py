"""Commands on networks, pictures and this machine: `models`, `data`, `tune`, `profile`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from bakeoff.cli.app import app
from bakeoff.cli.printing import errors, output
from bakeoff.errors import SpecError


@app.command()
def models() -> None:
    """List the networks that can be compared."""
    from bakeoff.models import available
    from bakeoff.report.console import models_table

    output().print(models_table(available()))


@app.command()
def data(
    source: Annotated[
        str | None, typer.Argument(help="A data set's name, a folder of pictures, or a zip or tar of one.")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where downloaded data sets are kept.")] = None,
    copies: Annotated[
        bool, typer.Option("--copies", help="Name the pictures that are there twice, or nearly: decodes them all.")
    ] = False,
) -> None:
    """Say what is in a data set: classes, counts, sizes, trouble. Without a name, list the names.

    \b
    Examples:
      bakeoff data cifar10
      bakeoff data my_pictures/
      bakeoff data my_pictures/ --copies
    """
    from bakeoff.data import KNOWN_SOURCES, inspect_source
    from bakeoff.data.copies import named_copies
    from bakeoff.report.console import copies_report, data_report

    if source is None:
        if copies:
            raise SpecError("--copies names pictures of a data set, but none was given; name one")
        for name in KNOWN_SOURCES:
            typer.echo(name)
        typer.echo("or a folder of pictures (train/<class>/..., test/<class>/...), or a zip or tar of one")
        return
    report = inspect_source(source, data_dir=data_dir)
    output().print(*data_report(report), sep="\n")
    if report.problems:
        raise typer.Exit(1)
    if copies:
        output().print(*copies_report(named_copies(source, data_dir=data_dir)), sep="\n")


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
    anew: Annotated[
        bool, typer.Option("--anew", help="Measure again what was measured before, as on a machine that was busy then.")
    ] = False,
) -> None:
    """Show how fast each algorithm computes each convolution of a network here, and which one a run would use.

    \b
    Examples:
      bakeoff tune resnet18 --input 32 --stem original
      bakeoff tune mobilenet_v2 --threads 1
      bakeoff tune mobilenet_v2 --anew
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
            anew=anew,
            on_stage=watcher.stage,
        )
    output().print(
        tuning_table(
            f"{model} at {size} pixels, batches of {batch_size}, {precision}",
            [(layer.name, layer.shape, layer.macs, layer.milliseconds) for layer in tuned.layers],
            tuned.choices,
            tuned.joined,
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
        rows = {model: layers_of(model, size=size, classes=classes, stem=stem) for model in models}
        if json:
            typer.echo(shown.layers_to_json(rows), nl=False)
        else:
            for model, its in rows.items():
                output().print(shown.layer_table(f"{model} at {size} pixels, {classes} classes", its))
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
        output().print(shown.cost_table(known, f"What networks cost at {size} pixels, {classes} classes"))
        for remark in shown.cost_remarks(known):
            output().print(f"- {clean(remark)}", markup=False, highlight=False)
    failed = [one for one in found if one.cost is None]
    for one in failed:
        errors().print(f"{clean(one.model)}: {clean(one.reason or '')}", style="red", markup=False, highlight=False)
    if failed:
        raise typer.Exit(1)
