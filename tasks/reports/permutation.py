"""Renders a permutation trial: Markdown for Prefect and MLflow, and a line for reports of fits."""

from __future__ import annotations

from schemas.parameters import ModelName
from schemas.permutation import MethodCalls, PermutationReport, TrialEvidence
from tasks.reports.markdown import as_text, link_to, markdown_head, markdown_row

HEAD = ("called by", "false", "of all calls", "false share", "89 % interval", "other calls")


def permutation_markdown(report: PermutationReport, run_location: str = "") -> str:
    """Return the verdict with reasons and notes, and a table of all methods."""
    settings, verdict = report.settings, report.verdict
    title = f"{as_text(report.dataset)} {as_text(report.release)}"
    lines = [
        f"# Permutation trial of {report.model} on {title}: {verdict.status}",
        "",
        f"The RNA of {report.n_genes_permuted:,} of {report.n_genes:,} genes was permuted over the "
        f"cell lines ({report.n_cell_lines:,}), {settings.permutations:,} times, so that calls of "
        f"these genes are false; each screen was fitted by {report.engine}. Calls are those of the "
        f"{report.n_genes_callable:,} genes with enough data for one.",
        "",
        *(f"- {as_text(reason)}" for reason in verdict.reasons),
        *(f"- note: {as_text(note)}" for note in verdict.notes),
        "",
        *markdown_head(HEAD),
        *(markdown_row(row) for row in method_rows(report)),
        "",
        f"Calls at a rate of {report.level:g}. BH: regression of the mean log fold change of a "
        "gene in a line on its RNA, with the false discovery rate of Benjamini and Hochberg. Other "
        "calls: of genes with RNA as measured, per permutation. The interval covers other "
        "permutations of this screen.",
    ]
    if run_location:
        lines += ["", link_to("The run in MLflow", run_location)]
    return "\n".join(lines)


def method_rows(report: PermutationReport) -> list[tuple[str, ...]]:
    """Return one row per method, as text, with the columns of HEAD."""
    return [
        (
            report.names[one.method],
            f"{one.n_false:,}",
            f"{one.n_called:,}",
            f"{one.false_share:.1%}" if one.n_called else "no calls",
            _interval(one),
            f"{one.n_other / report.settings.permutations:.1f}",
        )
        for one in report.methods
    ]


def _interval(one: MethodCalls) -> str:
    return f"{one.low:.1%} to {one.high:.1%}" if one.n_called else "not known"


def describe_trial(model: ModelName, trial: TrialEvidence | None) -> str:
    """Return what the latest trial of a model on the fitted tables found, or how to make one."""
    if trial is None:
        return (
            f"Permutation trial: none of {model} on these tables. `screenbayes calibrate --on "
            f"DATASET_FILE --model {model}` counts how many calls are false on this screen."
        )
    found = f"no calls at lfsr <= {trial.level:g}"
    if trial.n_called:
        found = (
            f"{trial.n_false:,} of {trial.n_called:,} calls at lfsr <= {trial.level:g} were of "
            f"genes with permuted RNA (89 % interval {trial.low:.1%} to {trial.high:.1%})"
        )
    return (
        f"Permutation trial of {model} on these tables (RNA of {trial.share:.0%} of the genes "
        f"permuted, {trial.n_permutations:,} times): {found}; {trial.verdict}, run {trial.run_id}."
    )
