"""The likelihood of the models: linear predictor, covariance of gene-line pairs, priors."""
