"""Population methods: what is tried next descends from the best of what was tried before."""
