"""Numbers that trials are judged by."""
