"""What README and docs show of the rows: `python -m tables figures` renews it."""
