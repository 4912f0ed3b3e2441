"""Steps that work on a part of a large screen: the part its predictive draws are of."""

from model.predictive import data_groups
from schemas.parameters import FitParameters
from tasks.steps import fitted_cells_task, quantities_task
from tests.tasks.fits import design_of, tree_of


def test_fitted_cells_and_checks_are_of_the_part_with_predictive_draws():
    design, tree = design_of(), tree_of()
    part = design.of_genes([1, 2])
    for name, group in data_groups(part).items():
        tree[name] = type(tree)(group)
    table = fitted_cells_task.fn(tree, design)
    assert table["gene"].unique().tolist() == list(part.genes)
    assert len(table) == 2 * len(design.cell_lines)

    found = quantities_task.fn(tree, design, FitParameters())
    assert found.equals(quantities_task.fn(tree, part, FitParameters()))
    assert set(found["stage"]) == {"prior", "posterior"}
