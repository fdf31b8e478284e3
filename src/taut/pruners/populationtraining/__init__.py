"""Population-based training: members that fall behind are replaced by copies of the best, with other parameters."""
