"""The exact engine: the posterior of the linear-Gaussian models, integrated instead of sampled."""
