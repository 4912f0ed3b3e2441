# A peer in its own process: limma's regression of each gene's line means on its RNA, moderated.
#
# Rscript limma.R FOLDER; reads logfc.csv and rna.csv (gene x cell line, NA: not measured), writes
# q_values.csv: the false discovery rate of Benjamini and Hochberg at which each gene is called.
# lmFit takes one design for all genes, but every gene has its own RNA: so one lmFit per gene, and
# one eBayes (squeezeVar, moderated t) over all of them.

suppressPackageStartupMessages(library(limma))

folder <- commandArgs(trailingOnly = TRUE)[1]
table_of <- function(name) unname(as.matrix(read.csv(file.path(folder, name), header = FALSE)))
logfc <- table_of("logfc.csv")
rna <- table_of("rna.csv")

fits <- lapply(
  seq_len(nrow(logfc)),
  function(gene) lmFit(logfc[gene, , drop = FALSE], cbind(1, rna[gene, ]))
)
column <- function(name) unlist(lapply(fits, function(fit) fit[[name]]))
rows <- function(name) matrix(column(name), ncol = 2, byrow = TRUE)
moderated <- eBayes(new("MArrayLM", list(
  coefficients = rows("coefficients"),
  stdev.unscaled = rows("stdev.unscaled"),
  sigma = column("sigma"),
  df.residual = column("df.residual")
)))
q <- p.adjust(moderated$p.value[, 2], "BH")
write.table(q, file.path(folder, "q_values.csv"), row.names = FALSE, col.names = FALSE)
