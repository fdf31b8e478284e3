"""taut and scikit-learn: a search that takes the place of `RandomizedSearchCV` or `GridSearchCV`.

from scipy.stats import loguniform
from taut.integrations.sklearn import TautSearchCV

search = TautSearchCV(pipeline, {"svc__C": loguniform(1e-3, 1e3)}, n_trials=40, pruner="racing")
search.fit(X, y)
"""

from __future__ import annotations

from taut.integrations.sklearn.search import TautSearchCV

__all__ = ["TautSearchCV"]
