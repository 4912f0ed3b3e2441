# A peer in its own process: lme4's point estimates by restricted maximum likelihood.
#
# Rscript lme4.R FOLDER MODEL; what is read and written: benchmarks/peers/__init__.py. The only
# difference between m4 and m4_zero_mean is a prior, which lme4 does not have.

suppressPackageStartupMessages(library(lme4))

arguments <- commandArgs(trailingOnly = TRUE)
folder <- arguments[1]
model <- arguments[2]

rows <- read.csv(file.path(folder, "rows.csv"))
for (name in c("gene", "cell_line", "guide")) rows[[name]] <- factor(rows[[name]])

m4 <- logfc ~ rna + (1 | gene) + (0 + rna | gene) + (1 | cell_line)
formulas <- list(
  m4 = m4,
  m4_zero_mean = m4,
  m4_nested = update(m4, . ~ . + (1 | guide) + (1 | gene:cell_line) + (1 | guide:cell_line))
)

seconds <- system.time(fit <- lmer(formulas[[model]], rows))[["elapsed"]]

print(VarCorr(fit))
cat(sprintf(
  '{"seconds_whole": %.6f, "seconds_fit": [%.6f], "version": "%s"}\n',
  seconds, seconds, as.character(packageVersion("lme4"))
), file = file.path(folder, "result.json"))
