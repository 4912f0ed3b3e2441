"""What failed predictive checks and noisy cell lines mean, in sentences for people.

The verdict (`model.diagnostics.verdict`) judges; this says what the data show.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.formatting import format_p_value, list_first
from schemas.model_spec import MODEL_SPECS
from schemas.parameters import ModelName
from schemas.reports import PredictiveCheck

MISFITS: dict[str, tuple[str, str]] = {
    "mean": (
        "the measurements are lower than {expects}",
        "the measurements are higher than {expects}",
    ),
    "sd": (
        "the measurements spread less than {expects}",
        "the measurements spread more than {expects}",
    ),
    "quantile_05": (
        "the most depleted guides are more depleted than {expects}",
        "the most depleted guides are less depleted than {expects}",
    ),
    "quantile_95": (
        "the most enriched guides are less enriched than {expects}",
        "the most enriched guides are more enriched than {expects}",
    ),
    "tail_weight": (
        "fewer measurements lie far from the fit than {expects}",
        "more measurements lie far from the fit than {expects}",
    ),
    "gene_residual_spread": (
        "genes are more alike in their scatter around the fit than {expects}",
        "some genes scatter more around the fit than others, beyond what {expects}",
    ),
    "line_residual_spread": (
        "cell lines are more alike in their scatter around the fit than {expects}",
        "some cell lines scatter more around the fit than others, beyond what {expects}",
    ),
    "line_noise_spread": (
        "replicates are more equally noisy in all cell lines than {expects}",
        "replicates are noisier in some cell lines than in others, beyond what {expects}",
    ),
    "guide_variance": (
        "guides of one gene are more alike than {expects}",
        "guides of one gene differ more than {expects}",
    ),
    "within_cell_correlation": (
        "guides of one gene agree less in a cell line than {expects}",
        "guides of one gene rise and fall together in a cell line, more than {expects}",
    ),
    "within_guide_variance": (
        "replicates of a guide agree more closely than {expects}",
        "replicates of a guide agree less closely than {expects}",
    ),
}
"""By name of a check: what is seen where its quantity is below, and above, that of the model."""
NOISY = 3.0
"""Noise of a cell line, as a multiple of that of the median line, from which it is reported."""
LINES_NAMED = 3


def describe_misfit(check: PredictiveCheck, model: ModelName) -> str:
    """Return what a failed check shows, with its numbers and its largest outliers."""
    below, above = MISFITS.get(check.name, (check.description.rstrip("."),) * 2)
    words = above if check.observed > check.replicated_mean else below
    words = words.format(expects=f"{model} expects")
    if check.largest_outliers:
        outliers = [f"{label} {ratio:.2g} times" for label, ratio in check.largest_outliers]
        words += f": {', '.join(outliers)} as much"
    return f"{words} (check {check.name}: {numbers(check)})"


def numbers(check: PredictiveCheck) -> str:
    """Return the quantity of a check in the data and under the model, and its p-value."""
    return (
        f"{check.observed:.3g} in the data, {check.replicated_low:.3g} to "
        f"{check.replicated_high:.3g} under the model, "
        f"{format_p_value(check.p_value, check.n_draws)}"
    )


def describe_noisy_lines(lines: Sequence[tuple[str, float]], model: ModelName) -> str:
    """Return which lines are far noisier than the median line; empty where none is.

    `lines` are cell lines with the ratio of their noise to that of the median line
    (`model.prediction.outliers.noise_ratios`), the noisiest first.
    """
    noisy = [(line, ratio) for line, ratio in lines if ratio >= NOISY]
    if not noisy:
        return ""
    if len(noisy) == 1:
        ((line, ratio),) = noisy
        words = f"one cell line, {line}, is {ratio:.2g} times as noisy as the median line"
    else:
        named = list_first([f"{line} {ratio:.2g} times" for line, ratio in noisy], LINES_NAMED)
        words = f"{len(noisy)} cell lines are far noisier than the median line: {named}"
    if MODEL_SPECS[model].line_noise:
        return f"{words}; {model} gives noisy lines less weight"
    return (
        f"{words}; {model} takes all lines as equally noisy: use --model m4_screen, or "
        "--without-cell-lines"
    )
