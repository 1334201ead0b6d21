"""One training run: configuration, program, host loop, storage, evaluation."""
