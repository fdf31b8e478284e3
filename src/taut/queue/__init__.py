"""What a batch queue does to a study: its past jobs, how long it makes one wait, and what it would do to a plan."""
