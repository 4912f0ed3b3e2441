"""The Gibbs engine: models whose slopes have a mixture prior, or whose genes and lines differ."""
