"""Tables that are sound by themselves and do not go together; controls; long tables."""

from __future__ import annotations

import pandas as pd

from tests.integration.spoilt.copies import FILES, Copy, as_long, breaks


@breaks("cell_lines_retained", "sequence_map+rna")
def no_line_in_both(copy: Copy) -> None:
    frame = copy.read("rna")
    copy.write("rna", frame.assign(**{"": [f"ACH-9{row:05}" for row in range(len(frame))]}))


@breaks("cell_lines_retained", "sequence_map+rna")
def few_lines_in_both(copy: Copy) -> None:
    frame = copy.read("rna")
    renamed = [f"ACH-9{row:05}" if row % 5 else line for row, line in enumerate(frame[""])]
    copy.write("rna", frame.assign(**{"": renamed}))


@breaks("genes_retained", "guide_map+rna")
def few_genes_in_both(copy: Copy) -> None:
    frame = copy.read("rna")
    renamed = [f"N{i} (9{i:06})" if i % 5 else gene for i, gene in enumerate(frame.columns)]
    copy.write("rna", frame.set_axis(["", *renamed[1:]], axis=1))


@breaks("genes_left", "logfc+guide_map+rna")
def too_few_lines_for_any_gene(copy: Copy) -> None:
    frame = copy.read("sequence_map")
    lines = frame.loc[frame["PassesQC"] == "True", "ModelID"].unique()[:4]
    copy.write("sequence_map", frame.assign(PassesQC=frame["ModelID"].isin(lines)))


@breaks("connected", "logfc+rna")
def two_halves_without_a_link(copy: Copy) -> None:
    frame, maps = copy.read("logfc"), copy.read("sequence_map").set_index("SequenceID")
    genes = frame[""].map(copy.read("guide_map").set_index("sgRNA")["Gene"])
    lines = maps["ModelID"].reindex(frame.columns[1:])
    early_genes = (genes < "H").to_numpy()
    early_lines = (lines < "ACH-000500").to_numpy()
    frame.iloc[:, 1:] = frame.iloc[:, 1:].where(early_genes[:, None] == early_lines[None, :], "")
    copy.write("logfc", frame)


@breaks("controls_separated", "logfc+essential+nonessential")
def controls_the_wrong_way_round(copy: Copy) -> None:
    copy.files["essential"], copy.files["nonessential"] = FILES["nonessential"], FILES["essential"]


@breaks("controls_separated", "logfc+essential+nonessential")
def log_fold_changes_of_the_wrong_sign(copy: Copy) -> None:
    frame = copy.read("logfc").replace("", "nan")
    copy.write("logfc", pd.concat([frame[[""]], -frame.iloc[:, 1:].astype(float)], axis=1))


@breaks("controls_found", "essential+guide_map")
def controls_of_another_species(copy: Copy) -> None:
    copy.path("essential").write_text("Gene\nRpl3 (27367)\nPolr2a (20020)\n")


@breaks("controls_found", "expression_addictions+guide_map")
def addictions_of_another_species(copy: Copy) -> None:
    copy.path("expression_addictions").write_text("Gene\nSox10 (20665)\n")


@breaks("gene_label", "nonessential", also=("controls_found",))
def controls_by_symbol(copy: Copy) -> None:
    copy.path("nonessential").write_text("Gene\nABCG8\nACTL7A\n")


@breaks("controls_found", "nonessential+guide_map")
def controls_whose_guides_are_not_used(copy: Copy) -> None:
    frame = copy.read("guide_map")
    controls = pd.read_csv(copy.path("nonessential"))["Gene"]
    copy.write("guide_map", frame.assign(UsedByChronos=~frame["Gene"].isin(controls)))


@breaks("controls_measured", "logfc+essential")
def controls_without_a_value(copy: Copy) -> None:
    """Guides of controls are left one value each, in a sequence that fails quality control."""
    frame, maps = copy.read("logfc"), copy.read("sequence_map")
    controls = pd.read_csv(copy.path("essential"))["Gene"]
    genes = frame[""].map(copy.read("guide_map").set_index("sgRNA")["Gene"])
    frame.loc[genes.isin(controls), frame.columns[2:]] = ""
    copy.write("logfc", frame)
    maps.loc[maps["SequenceID"] == frame.columns[1], "PassesQC"] = "False"
    copy.write("sequence_map", maps)


@breaks("cell_line_unique", "model_table")
def a_line_standing_twice_in_the_model_table(copy: Copy) -> None:
    copy.files["model_table"] = "Model.csv"
    copy.path("model_table").write_text("ModelID,OncotreeLineage\n" + "ACH-000004,Myeloid\n" * 2)


@breaks("cell_line_id", "model_table")
def a_line_by_its_name_in_the_model_table(copy: Copy) -> None:
    copy.files["model_table"] = "Model.csv"
    copy.path("model_table").write_text("ModelID,OncotreeLineage\nHEL,Myeloid\n")


@breaks("rna_not_constant", "logfc")
def two_rna_values_of_a_gene_in_a_line(copy: Copy) -> None:
    as_long(copy, lambda long: long.assign(rna=long["rna"].where(long.index != 9, 0.5)))


@breaks("duplicate_measurement", "logfc")
def a_measurement_standing_twice(copy: Copy) -> None:
    as_long(copy, lambda long: pd.concat([long, long.iloc[[9]]]))


@breaks("missing_label", "logfc")
def a_measurement_of_no_gene(copy: Copy) -> None:
    as_long(copy, lambda long: long.assign(gene=long["gene"].where(long.index != 9)))


@breaks("guide_of_one_gene", "guide_map")
def a_guide_of_two_genes_in_a_long_table(copy: Copy) -> None:
    as_long(copy, lambda long: long.assign(guide=long["guide"].replace("g2", "g1")))
