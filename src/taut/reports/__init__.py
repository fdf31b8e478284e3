"""Pictures and pages of a study, from a snapshot alone."""
