"""Selection: what to try next. Each sampler is one file and one line in `registry.py`."""
