"""Who goes on, who stops, and who waits until it is promoted: pure functions of a snapshot."""
