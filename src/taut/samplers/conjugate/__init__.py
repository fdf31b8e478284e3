"""Models whose posteriors have a closed form: linear regression on random features, and bandits over choices."""
