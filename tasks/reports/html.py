"""The report of a fit: one self-contained HTML page, for the screen and for paper.

Explains the numbers and pictures of a run; the numbers come from `model`, the pictures from
`model.plots`, the page itself from `report.html.j2`.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from model.effects.copy_number import carried_by_copy_number
from model.effects.gene_effects import NOT_ENOUGH_DATA
from model.effects.influence import Influence
from model.plots import RESULT_FIGURES, as_bytes
from model.plots.comparison import slopes_figure
from schemas.base import Frozen
from schemas.formatting import format_probability, format_setting
from schemas.model_spec import model_spec
from schemas.parameters import Priors, Thresholds
from schemas.reports import EVIDENCE_ERROR_PARETO_K, Convergence
from tasks.reports.answer import (
    DIRECTIONS,
    NOT_KNOWN,
    STATUS_WORDS,
    called_genes,
    describe_answer,
    describe_confidence,
    describe_question,
    describe_verdict,
    dominant_group,
)
from tasks.reports.comparison import describe_comparison, describe_data_changes
from tasks.reports.fit import examples_shown
from tasks.reports.page import page_environment
from tasks.tracking.artifacts import EXPLORER_FILE, PARAMETERS_FILE, without_effect

if TYPE_CHECKING:
    from model.fit import FitResults
    from tasks.tracking.comparison import ComparedFits

FIRST_SHOWN = 24
"""Called genes of a sign on the first screen; the others are folded away."""
GENES_SHOWN = 20
"""Genes in a table of those that are not called."""
EXAMPLES_SHOWN = 20
CHANGES_SHOWN = 10
OF_LINEAGES = {"n_lineages", "n_genes_carried_by_one_lineage", "n_genes_marking_a_lineage"}

CAPTIONS = {
    "influence_of_lines": "The further the coloured point is from the grey one, the more of the "
    "slope is driven by one line.",
    "within_lineages": "Genes near the dashed line keep their slope within lineages; the effect of "
    "genes near zero is between lineages, which expression may merely mark.",
    "forest_beta": "Mean, 50 % and 89 % interval of beta. Left of zero: the more a line expresses "
    "the gene, the more it depends on it.",
    "volcano": "Genes at the top have an effect of certain sign; genes far from zero a large one.",
    "top_genes": "The most negative slopes, with the shift of each cell line subtracted: the "
    "points should lie along the line.",
    "logfc_over_rna_by_gene": "The same genes as measured. The points include the shifts of the "
    "cell lines, the fitted line does not.",
    "logfc_over_rna": "All measurements that were fitted.",
    "logfc_by_cell_line": "Cell lines differ in level, which gamma models.",
    "trace": "{chains} that have converged look alike and do not drift.",
    "rank": "Where {one} differs from the others, its draws are too high or too low.",
    "energy": "Transitions much narrower than the marginal energy: the tails are explored slowly.",
    "posterior_predictive_by_gene": "Nine in ten data points should lie on the thin intervals.",
    "residual_spread": "Genes above their interval scatter more than a common noise SD predicts.",
    "residual_spread_by_line": "Lines above their interval are noisier than a common noise SD "
    "predicts.",
    "predictive_checks": "Where the line is apart from the replicates, the model does not "
    "reproduce the data.",
    "prior_of_sds": "The steeper the posterior compared with the prior, the more informative are "
    "the data.",
    "forest_alpha": "Mean, 50 % and 89 % interval of alpha.",
    "forest_gamma": "Mean, 50 % and 89 % interval of gamma.",
}
CHAINS = {
    "nuts": {"chains": "Chains", "one": "a chain"},
    "exact": {"chains": "Batches of independent draws", "one": "a batch of draws"},
}
"""Words of the captions for chains, by engine."""
ENGINE_WORDS = {
    "nuts": "The engine sampled: the chains explore the posterior independently and must agree.",
    "gibbs": "The engine sampled parameter by parameter: the chains explore the posterior "
    "independently and must agree.",
    "exact": "The engine integrated: given the standard deviations, all other parameters were "
    "integrated exactly; the density of the standard deviations was computed at weighted points. "
    "The draws are independent; a chain is a batch of them. Pareto k and the importance efficiency "
    "show whether the points cover the posterior.",
}
SECTIONS = {
    "result": RESULT_FIGURES,
    "data": ("logfc_by_cell_line", "logfc_over_rna"),
    "convergence": ("trace", "rank", "energy"),
    "influence": ("influence_of_lines", "within_lineages"),
    "checks": (
        "predictive_checks",
        "posterior_predictive_by_gene",
        "residual_spread",
        "residual_spread_by_line",
        "prior_of_sds",
    ),
}


def render_report(
    results: FitResults,
    figures: Mapping[str, bytes],
    run_id: str,
    command: str,
    versions: Mapping[str, str],
    since_champion: ComparedFits | None = None,
    trial: str = "",
    *,
    has_explorer: bool = False,
) -> str:
    """Return the page as HTML that needs no other file, no script and no network.

    `command` repeats the fit under these `versions`; `since_champion` compares it with the fit in
    use (A), where there is one; `trial` describes what a permutation trial found; the page links to
    the gene explorer beside it where the run has one (`has_explorer`). A figure whose
    name is unknown here is shown at the end.
    """
    parameters = results.parameters
    placed = {name for names in SECTIONS.values() for name in names}
    sections = {**SECTIONS, "further": tuple(name for name in figures if name not in placed)}
    variables = model_spec(parameters.model, results.design.covariates).variables
    effects = results.effects.assign(dominant_group=dominant_group(results.effects))
    effects["driver"] = effects["dominant_group"].map(_short_label)
    called = called_genes(effects)
    in_table = pd.concat(called.values())
    if in_table.empty:
        in_table = effects.nsmallest(GENES_SHOWN, "lfsr")
    return _ENVIRONMENT.get_template("report.html.j2").render(
        results=results,
        parameters=parameters,
        convergence=_convergence_rows(results.convergence, parameters.thresholds),
        loo=_rows(results.loo.summary),
        influence=_influence_rows(results.influence),
        engine_words=ENGINE_WORDS.get(results.engine, ""),
        question=describe_question(results),
        answer=describe_answer(effects),
        verdict=describe_verdict(results.verdict),
        called=[
            (call, DIRECTIONS[call].capitalize(), genes.to_dict("records"))
            for call, genes in called.items()
        ],
        confidence=[*describe_confidence(results), _plain(trial)],
        first_shown=FIRST_SHOWN,
        status_words=f"{STATUS_WORDS[results.verdict.status].capitalize()}.",
        effects=in_table.to_dict("records"),
        not_known=NOT_KNOWN,
        without_effect=_by_reason(without_effect(results.inclusion)),
        called_neither=results.effects[results.effects["call"] == NOT_ENOUGH_DATA].to_dict(
            "records"
        ),
        by_copy_number="kappa_g" in variables,
        carried=carried_by_copy_number(results.effects).head(GENES_SHOWN).to_dict("records"),
        nested="delta_k" in variables,
        sparse="included_g" in variables,
        per_log2=bool(results.effects["beta_per_log2_mean"].notna().any()),
        priors=[
            (name, getattr(parameters.priors, name), _plain(field.description))
            for name, field in Priors.model_fields.items()
            if name in variables
        ],
        pictures={
            section: [
                (name, _caption(name, results.engine), _data_uri(figures[name]))
                for name in names
                if name in figures
            ]
            for section, names in sections.items()
        },
        examples_shown=EXAMPLES_SHOWN,
        setting=format_setting,
        examples=lambda loss: examples_shown(loss, results.inclusion, EXAMPLES_SHOWN),
        run_id=run_id,
        explorer_file=EXPLORER_FILE if has_explorer else "",
        command=command,
        parameters_file=PARAMETERS_FILE,
        versions=versions,
        since=None if since_champion is None else _since(since_champion),
    )


def _since(found: ComparedFits) -> dict[str, object]:
    """Return the variables of the template about the champion."""
    comparison = found.comparison
    sentences = [*describe_comparison(comparison)]
    if comparison.data is not None and not comparison.identical:
        sentences += describe_data_changes(comparison.data)
    return {
        "champion": comparison.a,
        "sentences": sentences,
        "parameters": comparison.changed_parameters,
        "genes": found.genes.head(CHANGES_SHOWN).to_dict("records"),
        "picture": _data_uri(as_bytes(slopes_figure(found.genes, comparison), "png")),
    }


def _short_label(group: str) -> str:
    """Return the name of what drives an effect without its id; empty where nothing does."""
    name = group.partition(" (")[2].removesuffix(")")
    return name or group.replace(NOT_KNOWN, "")


def _by_reason(genes: pd.DataFrame) -> list[tuple[str, list[str]]]:
    return [(str(reason), list(rows)) for reason, rows in genes.groupby("reason")["gene"]]


def _influence_rows(influence: Influence | None) -> list[tuple[str, float | None, str]]:
    """The same of what was left out; None for numbers of lineages where these are not known."""
    if influence is None:
        return []
    unknown = set() if influence.summary.n_lineages else OF_LINEAGES
    return [
        (name, None if name in unknown else value, meaning)
        for name, value, meaning in _rows(influence.summary)
    ]


def _rows(summary: Frozen) -> list[tuple[str, float | None, str]]:
    """Name, value and meaning of every number."""
    return [
        (name, getattr(summary, name), _plain(field.description))
        for name, field in type(summary).model_fields.items()
    ]


def _convergence_rows(
    convergence: Convergence, limits: Thresholds
) -> list[tuple[str, float, str, str]]:
    """Name, value, limit in words and meaning of every number; the judgement is the verdict's."""
    words = {
        "rhat_max": f"at most {limits.rhat_max:g}",
        "ess_bulk_min": f"at least {limits.ess_min:g}",
        "ess_tail_min": f"at least {limits.ess_min:g}",
        "divergences": f"0; above {limits.max_divergence_share:.1%} of draws: fail",
        "bfmi_min": f"at least {limits.bfmi_min:g}",
        "pareto_k": f"at most {limits.pareto_k_max:g}",
        "importance_efficiency": f"times the points at least {limits.ess_min:g}",
        "interpolation_error": f"at most {limits.interpolation_error_max:g}",
    }
    if convergence.exact is not None and convergence.exact.mcse_is_lower_bound:
        words["log_evidence_mcse"] = f"a lower bound: Pareto k above {EVIDENCE_ERROR_PARETO_K:g}"
    parts: list[Frozen | None] = [
        convergence,
        convergence.nuts,
        convergence.exact,
        convergence.gibbs,
    ]
    return [
        (name, getattr(part, name), words.get(name, ""), _plain(field.description))
        for part in parts
        if part is not None
        for name, field in type(part).model_fields.items()
        if name not in {"worst", "variables", "nuts", "exact", "gibbs"}
    ]


def _caption(figure: str, engine: str) -> str:
    text = CAPTIONS.get(figure, figure.replace("_", " "))
    return text.format_map(CHAINS.get(engine, CHAINS["nuts"]))


def _data_uri(picture: bytes) -> str:
    kind = "png" if picture.startswith(b"\x89PNG") else "svg+xml"
    return f"data:image/{kind};base64,{b64encode(picture).decode()}"


def _number(value: float | None, digits: int = 3) -> str:
    """Return a number to read: whole ones with thousands marked, others to some digits.

    None is a number that there cannot be, NaN one that could not be computed.
    """
    if value is None:
        return NOT_KNOWN
    if math.isnan(value):
        return "not known"
    # Of a larger one all digits stand before the point, which would be left at its end.
    whole = float(value).is_integer() or abs(value) >= 10 ** (digits - 1)
    return (f"{value:,.0f}" if whole else f"{value:#.{digits}g}").rstrip(".").replace("-", "−")


def _plain(description: str | None) -> str:
    """Return the text under a field without the marks of code."""
    return (description or "").replace("`", "")


_ENVIRONMENT = page_environment()
_ENVIRONMENT.filters |= {"number": _number, "rate": format_probability}
