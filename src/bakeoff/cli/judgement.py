"""Commands that judge: `recommend`, `power`, `audit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bakeoff.cli.app import app
from bakeoff.cli.printing import output, print_sentences
from bakeoff.errors import SpecError


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

    Exit code 1 means that no candidate is known to fit the budget.

    \b
    Examples:
      bakeoff recommend results/classics
      bakeoff recommend results/classics --max-latency 10ms --max-params 5M
      bakeoff recommend results/classics --min-accuracy 90% --json
    """
    from bakeoff import units
    from bakeoff.report.verdict import as_json, RecommendationTable, StandingsTable
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
    else:
        print_sentences(found.sentences())
        if found.verdict.candidates:
            output().print(RecommendationTable(found), StandingsTable(found.verdict), sep="\n")
    if found.pick is None:
        raise typer.Exit(1)


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
    spread = None if folder is None else spread_of(Study(folder).reading().verdict)
    plan = plan_seeds(
        spread.sd if spread else units.points(str(sd), "--sd"),
        candidates=candidates or max(2, spread.candidates if spread else 2),
        differences=DIFFERENCES if difference is None else [units.points(difference, "--difference")],
        seeds=SEEDS if seeds is None else [seeds],
        **({} if spread is None else {"alpha": spread.alpha}),
    )
    print_sentences(seed_plan_sentences(plan, spread))
    needed, seen = seed_plan_tables(plan)
    if seeds is None or difference is not None:
        output().print(needed)
    if difference is None or seeds is not None:
        output().print(seen)


@app.command()
def audit(
    study: Annotated[Path, typer.Argument(help="A study's folder, or a study file that was not run yet.")],
    data: Annotated[str | None, typer.Option(help="Pictures to use instead of the study file's.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where downloaded data sets are kept.")] = None,
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Try, too, if networks learn pictures by heart and repeat their steps: minutes."),
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
        typer.echo(document(audited.study.name, audited.findings, audited.labels, audited.found_before), nl=False)
    else:
        for line in audit_report(audited.findings, whole=True, found_before=audited.found_before):
            output().print(line, soft_wrap=True)
    if open_errors(audited.findings):
        raise typer.Exit(1)
