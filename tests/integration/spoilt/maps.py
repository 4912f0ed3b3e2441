"""Guides and sequences that their tables and maps do not have alike; the model table."""

from __future__ import annotations

import pandas as pd

from tests.integration.spoilt.copies import Copy, breaks


@breaks("guide_sequence", "logfc", also=("guide_in_map",))
def a_guide_of_eighteen_letters(copy: Copy) -> None:
    copy.set("logfc", 3, "", copy.read("logfc")[""].astype(str).iloc[3][:18])


@breaks("guide_sequence", "guide_map", also=("guide_in_map",))
def a_guide_with_an_unknown_base(copy: Copy) -> None:
    copy.set("guide_map", 3, "sgRNA", "ACGTNACGTACGTACGTACG")


@breaks(
    "guide_sequence",
    "logfc",
    also=("guide_in_map", "guides_retained", "controls_measured", "genes_left"),
)
def guides_in_small_letters(copy: Copy) -> None:
    frame = copy.read("logfc")
    copy.write("logfc", frame.assign(**{"": frame[""].str.lower()}))


@breaks("value_missing", "logfc")
def a_guide_without_a_label(copy: Copy) -> None:
    copy.set("logfc", 3, "", "")


@breaks("guide_unique", "logfc")
def a_guide_standing_twice(copy: Copy) -> None:
    frame = copy.read("logfc")
    copy.write("logfc", pd.concat([frame, frame.iloc[[5]]]))


@breaks("guide_in_map", "logfc+guide_map")
def a_guide_the_map_does_not_have(copy: Copy) -> None:
    copy.set("logfc", 3, "", "ACGTACGTACGTACGTACGT")


@breaks("guide_of_one_gene", "guide_map")
def a_guide_of_two_genes(copy: Copy) -> None:
    frame = copy.read("guide_map")
    frame = frame[frame["nAlignments"] == "1.0"]
    other = frame.iloc[[0]].assign(
        Gene=frame.loc[frame["Gene"] != frame["Gene"].iloc[0], "Gene"].iloc[0]
    )
    copy.write("guide_map", pd.concat([copy.read("guide_map"), other]))


@breaks("guide_map_unique", "guide_map")
def a_guide_standing_twice_in_its_map(copy: Copy) -> None:
    frame = copy.read("guide_map")
    once = frame[frame["nAlignments"] == "1.0"]
    copy.write("guide_map", pd.concat([frame, once.iloc[[0]]]))


@breaks("guides_left", "guide_map")
def no_guide_used(copy: Copy) -> None:
    copy.write("guide_map", copy.read("guide_map").assign(UsedByChronos="False"))


@breaks("guides_left", "guide_map")
def every_guide_hitting_twice(copy: Copy) -> None:
    copy.write("guide_map", copy.read("guide_map").assign(nAlignments="2.0"))


@breaks("whole_number", "guide_map")
def alignments_in_words(copy: Copy) -> None:
    copy.set("guide_map", 4, "nAlignments", "one")


@breaks("flag", "guide_map")
def a_flag_that_is_none(copy: Copy) -> None:
    copy.set("guide_map", 4, "UsedByChronos", "maybe")


@breaks("gene_label", "guide_map")
def a_gene_without_its_number(copy: Copy) -> None:
    copy.set("guide_map", 4, "Gene", "SOX10")


@breaks("gene_of_one_symbol", "guide_map")
def two_symbols_of_one_number(copy: Copy) -> None:
    frame = copy.read("guide_map")
    fitted = frame.index[(frame["nAlignments"] == "1.0") & (frame["UsedByChronos"] == "True")]
    number = frame.loc[fitted[0], "Gene"].split(" ")[1]
    frame.loc[fitted[0], "Gene"] = f"OTHER {number}"
    copy.write("guide_map", frame)


@breaks("surrounding_blanks", "guide_map")
def a_blank_behind_a_gene(copy: Copy) -> None:
    copy.set("guide_map", 4, "Gene", copy.read("guide_map")["Gene"].iloc[4] + " ")


@breaks("logfc_sequence_unique", "logfc")
def a_sequence_standing_twice(copy: Copy) -> None:
    frame = copy.read("logfc")
    copy.write("logfc", frame.set_axis([*frame.columns[:2], *frame.columns[1:-1]], axis=1))


@breaks("sequence_unique", "sequence_map")
def a_sequence_standing_twice_in_its_map(copy: Copy) -> None:
    frame = copy.read("sequence_map")
    copy.write("sequence_map", pd.concat([frame, frame.iloc[[2]]]))


@breaks("sequence_in_map", "logfc+sequence_map")
def a_sequence_the_map_does_not_have(copy: Copy) -> None:
    copy.write("sequence_map", copy.read("sequence_map").iloc[1:])


@breaks("flag", "sequence_map")
def a_doubtful_no(copy: Copy) -> None:
    copy.set("sequence_map", 5, "PassesQC", "No?")


@breaks("value_missing", "sequence_map")
def no_word_on_quality_control(copy: Copy) -> None:
    copy.set("sequence_map", 5, "PassesQC", "")


@breaks("value_missing", "sequence_map")
def a_screened_sequence_without_a_cell_line(copy: Copy) -> None:
    copy.set("sequence_map", 5, "ModelID", "")


@breaks("cell_line_id", "sequence_map")
def a_cell_line_by_its_name(copy: Copy) -> None:
    copy.set("sequence_map", 5, "ModelID", "A375")


@breaks("surrounding_blanks", "sequence_map")
def a_blank_before_a_cell_line(copy: Copy) -> None:
    copy.set("sequence_map", 5, "ModelID", " " + copy.read("sequence_map")["ModelID"].iloc[5])


@breaks("library_in_map", "sequence_map")
def another_library(copy: Copy) -> None:
    copy.entries["library"] = "KY"


@breaks("sequences_left", "sequence_map")
def no_sequence_passing(copy: Copy) -> None:
    copy.write("sequence_map", copy.read("sequence_map").assign(PassesQC="No"))


@breaks("sequences_left", "sequence_map")
def every_sequence_excluded(copy: Copy) -> None:
    frame = copy.read("sequence_map").assign(ExcludeFromCRISPRCombined="True")
    copy.write("sequence_map", frame)


@breaks("sequences_left", "sequence_map")
def only_organoids(copy: Copy) -> None:
    copy.write("sequence_map", copy.read("sequence_map").replace("2DS", "3DO"))
