"""Steps that look at a part of a large screen: the part its predictive draws are of."""

from __future__ import annotations

from model.predictive import data_groups
from schemas.parameters import FitParameters
from tasks.steps import fitted_cells_task, quantities_task
from tests.tasks.fits import GENES, design_of, tree_of


def of_a_part(genes):
    """A fit whose predictive draws are of some genes only."""
    design, tree = design_of(), tree_of()
    part = design.of_genes([GENES.index(gene) for gene in genes])
    for name, group in data_groups(part).items():
        tree[name] = type(tree)(group)
    return tree, design, part


def test_the_fit_beside_the_data_is_of_the_part():
    tree, design, part = of_a_part(GENES[1:])
    table = fitted_cells_task.fn(tree, design)
    assert table["gene"].unique().tolist() == list(part.genes)
    assert len(table) == 2 * len(design.cell_lines)


def test_checks_are_of_the_part():
    tree, design, part = of_a_part(GENES[1:])
    parameters = FitParameters()
    of_screen = quantities_task.fn(tree, design, parameters)
    assert of_screen.equals(quantities_task.fn(tree, part, parameters))
    whole, _, _ = of_a_part(GENES)
    assert not of_screen.equals(quantities_task.fn(whole, design, parameters))
    assert set(of_screen["stage"]) == {"prior", "posterior"}
