"""The cases: each function is named after the fact that it shows."""
