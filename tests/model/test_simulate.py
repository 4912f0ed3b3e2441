"""The simulated screen is the original's, to the digit."""

from model.simulate import original_screen


def test_first_and_last_row_are_the_originals():
    rows = original_screen().measurements
    assert len(rows) == 300
    first, last = rows.iloc[0], rows.iloc[-1]
    assert (first.gene, first.cell_line, first.sgrna_idx) == ("geneA", "cellA", 0)
    assert (round(first.rna, 6), round(first.logfc, 6)) == (-1.187443, 7.516370)
    assert (last.gene, last.cell_line, last.sgrna_idx) == ("geneE", "cellT", 2)
    assert (round(last.rna, 6), round(last.logfc, 6)) == (-1.014537, -1.022285)


def test_rows_equal_the_published_ones(shared):
    import pandas as pd

    published = pd.read_csv(shared / "reference" / "m4_seed103_published_fit_rows.csv")
    keys = ["gene", "cell_line", "sgrna_idx"]
    ours = original_screen().measurements.merge(published, on=keys, suffixes=("", "_published"))
    assert len(ours) == len(published) == 10
    assert (ours.rna - ours.rna_published).abs().max() < 5e-7
    assert (ours.logfc - ours.logfc_published).abs().max() < 5e-7


def test_truth_is_the_published_truth(shared):
    import pandas as pd

    published = pd.read_csv(shared / "reference" / "m4_seed103_published.csv")
    truth = list(original_screen().truth.items())
    groups = {
        name: [value for key, value in truth if key.startswith(name)]
        for name in ("alpha_g", "beta_g", "gamma_c")
    }
    for name, values in groups.items():
        expected = published[published.parameter.str.startswith(name)].true_value
        assert abs(expected.to_numpy() - values).max() < 5e-7


def test_hyperparameters_are_those_the_screen_is_drawn_with():
    truth = original_screen().truth
    assert list(truth.items())[:7] == [
        ("mu_alpha", -1.0),
        ("mu_gamma", 0.0),
        ("mu_beta", -1.0),
        ("sigma_alpha", 1.0),
        ("sigma_gamma", 3.0),
        ("sigma_beta", 2.0),
        ("sigma", 0.3),
    ]
    assert len(truth) == 7 + 5 + 5 + 20
